#!/usr/bin/env python3
"""Has FOCUS datasets judged by FinOps' own validator, and value by value by its rule book.

    judge.py FILE.csv...

Runs in the environment that `tests/run focus` makes. Prints a line of JSON for each file and judge:
{"file", "judge", "checked", "failed": [...]}. `checked` counts what was looked at (rules that were applied, values that were
read), so that a judge who looked at nothing shows.

The validator takes Parquet with the types that its rule book gives to each column. It refuses a value outside of an enumeration
only where every row has one, and looks at a product of price and quantity only where a row has a ChargeClass, which is hardly
one: both are looked at here. Some of its rules are not asked, since they check something else than they say:

| rule | says | checks |
|---|---|---|
| InvoiceId-C-004-C | null where there is no invoice | always null, against InvoiceId-C-005-C |
| EffectiveCost-C-005-C | 0 where a purchase covers future charges | 0 for every purchase |
| all by FormatString | StringHandling: valid Unicode | ASCII |
"""

import contextlib
import csv
import io
import json
import logging
import os
import sys
import tempfile
from datetime import datetime, timezone
from decimal import Decimal, localcontext
from importlib import resources
from pathlib import Path

import pyarrow
import pyarrow.parquet

# What a seller with a price list, negotiated prices, measured usage and subscriptions supports.
CRITERIA = [
    "ACCOUNT_NAMING_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
]
NOT_ASKED = {"InvoiceId-C-004-C", "EffectiveCost-C-005-C"}
# Rules on columns that apply name these, which do not apply: the validator needs them to be there.
ABSENT = {
    "CommitmentDiscountStatus",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
}
PACKAGE = resources.files("focus_validator")
RULES = json.loads((PACKAGE / "rules/model-1.2.0.1.json").read_text(encoding="utf-8"))["ModelRules"]
REQUIREMENTS = [rule["ValidationCriteria"].get("Requirement") or {} for rule in RULES.values()]
TYPES = {"TypeDecimal": pyarrow.decimal128(38, 24), "TypeDateTime": pyarrow.timestamp("us", tz="UTC")}
COLUMN_TYPES = {one["ColumnName"]: TYPES[one["CheckFunction"]] for one in REQUIREMENTS if one.get("CheckFunction") in TYPES}
PRODUCTS = [one for one in REQUIREMENTS if one.get("CheckFunction") == "ColumnByColumnEqualsColumnValue"]


def report(path, judge, checked, failed):
    print(json.dumps({"file": path.name, "judge": judge, "checked": checked, "failed": failed}), flush=True)


def typed(name, text):
    kind = COLUMN_TYPES.get(name)
    if text == "" or kind is None:
        return text or None
    if pyarrow.types.is_decimal(kind):
        return Decimal(text)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def validate(path, rows, folder):
    from focus_validator.validator import Validator

    names = [*rows[0], *ABSENT.difference(rows[0])]
    arrays = [
        pyarrow.array([typed(name, row.get(name, "")) for row in rows], COLUMN_TYPES.get(name, pyarrow.string()))
        for name in names
    ]
    file = Path(folder) / "dataset.parquet"
    pyarrow.parquet.write_table(pyarrow.table(arrays, names), file)
    with contextlib.redirect_stdout(io.StringIO()):
        results = Validator(
            data_filename=str(file),
            output_type="console",
            output_destination=None,
            rules_version="1.2",
            focus_dataset="CostAndUsage",
            rules_block_remote_download=True,
            applicability_criteria=",".join(CRITERIA),
        ).validate()
    checks = lambda name: RULES[name]["ValidationCriteria"].get("Requirement", {}).get("CheckFunction")
    is_skipped = lambda name: RULES[name]["Reference"] in ABSENT or name in NOT_ASKED or checks(name) == "FormatString"
    # A rule made of others says nothing of its own.
    asked = {
        name: result
        for name, result in results.by_rule_id.items()
        if RULES[name]["Function"] != "Composite" and not is_skipped(name) and not result["details"].get("skipped")
    }
    why = lambda details: details.get("error") or details.get("message")
    failed = [f"{name}: {why(result['details'])}" for name, result in asked.items() if not result["ok"]]
    report(path, "focus-validator", len(asked), failed)


def enumerations():
    """Columns -> the values that they may have together."""
    for one in REQUIREMENTS:
        items = [item.get("Items", [item]) for item in one.get("Items", [])] if one.get("CheckFunction") == "OR" else []
        if items and all(part["CheckFunction"] == "CheckValue" for item in items for part in item):
            columns = tuple(part["ColumnName"] for part in items[0])
            yield columns, {tuple(part["Value"] for part in item) for item in items}


def read(path, rows):
    """Every value of an enumeration, every product of a price."""
    checked, failed = 0, []
    allowed = [*enumerations(), (("ChargeClass",), {("Correction",)})]
    for number, row in enumerate(rows, 1):
        for columns, values in allowed:
            found = tuple(row.get(column, "") for column in columns)
            checked += any(found)
            if any(found) and found not in values:
                failed.append(f"row {number}: {columns} are {found}")
        for product in PRODUCTS:
            price, quantity, cost = (row.get(product[name]) for name in ("ColumnAName", "ColumnBName", "ResultColumnName"))
            if price and quantity and row["ChargeClass"] != "Correction":
                checked += 1
                price, quantity, cost = Decimal(price), Decimal(quantity), Decimal(cost)
                # A price for many units is rounded once for one of them.
                if abs(price * quantity - cost) > (abs(quantity) + 1) * Decimal("1e-24"):
                    failed.append(f"row {number}: {product['ColumnAName']} {price} x {quantity} is not {cost}")
    report(path, "values", checked, failed)


def main():
    paths = [Path(name).resolve() for name in sys.argv[1:]]
    logging.disable(logging.CRITICAL)
    # The validator looks for its own files from here.
    os.chdir(str(PACKAGE / ".."))
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        with localcontext() as context, tempfile.TemporaryDirectory() as folder:
            context.prec = 100
            read(path, rows)
            validate(path, rows, folder)


main()
