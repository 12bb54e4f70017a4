#!/usr/bin/env python3
"""Has documents judged by others: schema and rules for UBL and CII, veraPDF and Mustang for PDF.

    judge.py TOOLS FILE...

TOOLS is the folder that `tests/run` fills (jars/ from pom.xml, venv/ with saxonche and lxml). Prints a line of JSON for each
file and judge: {"file", "judge", "checked", "failed": [...]}. `checked` counts what was looked at (rules that fired, checks
that were made), so that a judge who looked at nothing shows. Judges a document by all rules that it names in BT-24.
"""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

SVRL = "{http://purl.oclc.org/dsdl/svrl}"
EN16931 = "phive-rules-en16931-4.3.7.jar", "external/schematron/1.3.16"
PEPPOL = "phive-rules-peppol-4.3.7.jar", "external/schematron/openpeppol/2026.5/xslt"
XRECHNUNG = "phive-rules-xrechnung-4.2.3.jar", "external/schematron/3.0.2"
# (judge, what BT-24 must hold, syntax) -> jar and place of the rules.
RULES = [
    ("EN 16931", "", "UBL", EN16931, "ubl/EN16931-UBL-validation.xslt"),
    ("EN 16931", "", "CII", EN16931, "cii/EN16931-CII-validation.xslt"),
    ("Peppol: EN 16931", "peppol", "UBL", PEPPOL, "CEN-EN16931-UBL.xslt"),
    ("Peppol", "peppol", "UBL", PEPPOL, "PEPPOL-EN16931-UBL.xslt"),
    ("XRechnung", "xrechnung", "UBL", XRECHNUNG, "XRechnung-UBL-validation.xslt"),
    ("XRechnung", "xrechnung", "CII", XRECHNUNG, "XRechnung-CII-validation.xslt"),
]


def report(path, judge, checked, failed):
    print(json.dumps({"file": path.name, "judge": judge, "checked": checked, "failed": failed}), flush=True)


class Rules:
    """The rules as XSLT, compiled once each."""

    def __init__(self, tools):
        from saxonche import PySaxonProcessor

        self.tools = tools
        self.processor = PySaxonProcessor(license=False)
        self.compiled = {}

    def judge(self, path):
        text = path.read_text(encoding="utf-8")
        syntax = "CII" if "CrossIndustryInvoice" in text[:2000] else "UBL"
        customization = re.search(r"(?:CustomizationID|GuidelineSpecified\w+>\s*<ram:ID)>([^<]*)", text)
        named = customization.group(1) if customization else ""
        for judge, names, of, (jar, folder), place in RULES:
            if of == syntax and names in named:
                report(path, f"{judge} ({syntax})", *self.apply(jar, f"{folder}/{place}", path))

    def apply(self, jar, place, path):
        if place not in self.compiled:
            with zipfile.ZipFile(self.tools / "jars" / jar) as archive:
                sheet = archive.read(place).decode("utf-8")
            compiler = self.processor.new_xslt30_processor()
            self.compiled[place] = compiler.compile_stylesheet(stylesheet_text=sheet)
        result = self.compiled[place].transform_to_string(source_file=str(path))
        tree = ElementTree.fromstring(result)
        failed = []
        for one in list(tree.iter(f"{SVRL}failed-assert")) + list(tree.iter(f"{SVRL}successful-report")):
            if one.get("flag") in ("fatal", "error", None):
                failed.append(f"{one.get('id')}: {''.join(one.itertext()).strip()}")
        return len(list(tree.iter(f"{SVRL}fired-rule"))), failed


class Schemas:
    """UBL's schemas, without those of signatures: four of their imports name no place."""

    def __init__(self, tools):
        from lxml import etree

        self.etree = etree
        folder = tools / "schemas"
        if not (folder / "complete").exists():
            self.unpack(tools / "jars", folder)
        self.schemas = {
            name: etree.XMLSchema(etree.parse(str(folder / f"maindoc/UBL-{name}-2.1.xsd")))
            for name in ("Invoice", "CreditNote")
        }

    @staticmethod
    def unpack(jars, folder):
        prefix = "external/schemas/ubl21/"
        with zipfile.ZipFile(jars / "ph-ubl21-10.2.0.jar") as archive:
            for place in archive.namelist():
                if place.startswith(prefix) and place.endswith(".xsd"):
                    text = archive.read(place).decode("utf-8")
                    text = re.sub(r"<xsd:import[^>]*CommonSignatureComponents-2\"[^>]*/>", "", text)
                    text = text.replace(
                        'CoreComponentTypeSchemaModule:2"/>',
                        'CoreComponentTypeSchemaModule:2" schemaLocation="CCTS_CCT_SchemaModule.xsd"/>',
                    )
                    target = folder / place.removeprefix(prefix)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text, encoding="utf-8")
        with zipfile.ZipFile(jars / "ph-xsds-ccts-cct-schemamodule-4.0.0.jar") as archive:
            module = archive.read("schemas/CCTS_CCT_SchemaModule.xsd")
        (folder / "common/CCTS_CCT_SchemaModule.xsd").write_bytes(module)
        (folder / "complete").touch()

    def judge(self, path):
        document = self.etree.parse(str(path))
        schema = self.schemas.get(self.etree.QName(document.getroot()).localname)
        if schema is not None:
            schema.validate(document)
            failed = [f"line {error.line}: {error.message}" for error in schema.error_log]
            report(path, "UBL 2.1 schema", sum(1 for _ in document.iter()), failed)


def verapdf(tools, paths):
    jar = tools / "jars/greenfield-apps-1.28.2.jar"
    command = ["java", f"-Duser.home={tools}", "-cp", jar, "org.verapdf.apps.GreenfieldCliWrapper"]
    said = subprocess.run([*command, "--flavour", "3b", "--format", "xml", *paths], capture_output=True, text=True)
    jobs = ElementTree.fromstring(said.stdout).iter("job")
    for path, job in zip(paths, jobs, strict=True):
        details = job.find(".//details")
        failed = [f"clause {rule.get('clause')}: {rule.findtext('description')}" for rule in job.iter("rule")]
        passed = int(details.get("passedChecks")) if details is not None else 0
        if details is None or job.find("validationReport").get("isCompliant") != "true":
            failed = failed or ["it could not be read"]
        report(path, "veraPDF 3b", passed, failed)


def mustang(tools, paths):
    jars = [str(jar) for jar in sorted((tools / "jars").glob("*.jar")) if "greenfield" not in jar.name]
    script = Path(__file__).with_name("mustang.js")
    command = ["java", f"-Duser.home={tools}", "-cp", ":".join(jars), "org.mozilla.javascript.tools.shell.Main"]
    said = subprocess.run([*command, script, *paths], capture_output=True, text=True)
    answers = [line.removeprefix("REPORT ") for line in said.stdout.split("\x1e") if line.startswith("REPORT ")]
    if len(answers) != len(paths):
        raise SystemExit(f"Mustang answered {len(answers)} of {len(paths)} times:\n{said.stdout}\n{said.stderr}")
    for path, answer in zip(paths, answers):
        tree = ElementTree.fromstring(answer)
        failed = [(error.text or "").strip() for error in tree.iter("error")]
        if tree.find("summary[@status='valid']") is None and not failed:
            failed = ["invalid, without a reason"]
        fired = tree.findtext(".//fired") or "0"
        report(path, "Mustang", int(fired), failed)


def main():
    tools, paths = Path(sys.argv[1]).resolve(), [Path(name) for name in sys.argv[2:]]
    sheets, pages = [path for path in paths if path.suffix == ".xml"], [path for path in paths if path.suffix == ".pdf"]
    if sheets:
        schemas, rules = Schemas(tools), Rules(tools)
        for path in sheets:
            schemas.judge(path)
            rules.judge(path)
    if pages:
        verapdf(tools, pages)
        mustang(tools, pages)


main()
