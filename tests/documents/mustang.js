// Runs Mustang's validator over each file named, in a JRE's stead of a compiler: Rhino's shell executes it.
for (var at = 0; at < arguments.length; at++) {
    var validator = new org.mustangproject.validator.ZUGFeRDValidator();
    java.lang.System.out.print("\u001eREPORT " + validator.validate(arguments[at]) + "\u001e");
}
java.lang.System.out.flush();
java.lang.System.exit(0);
