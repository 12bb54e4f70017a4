//! Certificates for servers on this machine.

use std::path::Path;
use std::process::Command;

/// Makes an authority (`ca.pem`, `ca.key`) and a certificate for `localhost` that it signed (`server.pem`, `server.key`).
///
/// # Panics
/// `openssl` is missing or fails.
pub fn make(folder: &Path) {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = [&["req", "-x509", "-days", "2", "-subj", "/CN=farthing test authority"], &ec[..]].concat();
    openssl(&[&ca[..], &["-keyout", &path("ca.key"), "-out", &path("ca.pem")]].concat());
    let request = [&["req", "-subj", "/CN=localhost"], &ec[..]].concat();
    openssl(&[&request[..], &["-keyout", &path("server.key"), "-out", &path("server.csr")]].concat());
    std::fs::write(path("names"), "subjectAltName=DNS:localhost\n").expect("a file");
    let files = [path("names"), path("server.csr"), path("ca.pem"), path("ca.key"), path("server.pem")];
    let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", &files[0]];
    openssl(&[&sign[..], &["-in", &files[1], "-CA", &files[2], "-CAkey", &files[3], "-out", &files[4]]].concat());
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("openssl: {error}; on Debian: apt-get install openssl"));
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
