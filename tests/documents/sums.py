#!/usr/bin/env python3
"""Reads the sums of UBL and CII documents as who gets them would: by their places in the syntax, with nothing of Farthing.

    sums.py FILE...

Prints a line of JSON for each: {"file", "lines", "net", "tax", "total", "prepaid", "due"}, below zero for a credit note. `lines`
are those with their allowances and charges, `tax` is added up from its categories.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

UBL = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
CII = {
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}


class Reader:
    def __init__(self, root, names):
        self.root, self.names = root, names

    def all(self, path):
        return self.root.findall(path, self.names)

    def sum(self, path):
        return sum((Decimal(one.text) for one in self.all(path)), Decimal(0))

    def allowances(self, path, indicator, amount):
        """Charges less allowances."""
        total = Decimal(0)
        for one in self.all(path):
            value = Decimal(one.find(amount, self.names).text)
            total += value if one.find(indicator, self.names).text == "true" else -value
        return total


def ubl(root):
    read, total = Reader(root, UBL), "cac:LegalMonetaryTotal/cbc:"
    is_note = root.tag.endswith("}CreditNote")
    lines = read.sum(f"cac:{'CreditNote' if is_note else 'Invoice'}Line/cbc:LineExtensionAmount")
    return is_note, {
        "lines": lines + read.allowances("cac:AllowanceCharge", "cbc:ChargeIndicator", "cbc:Amount"),
        "net": read.sum(total + "TaxExclusiveAmount"),
        "tax": read.sum("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount"),
        "total": read.sum(total + "TaxInclusiveAmount"),
        "prepaid": read.sum(total + "PrepaidAmount"),
        "due": read.sum(total + "PayableAmount"),
    }


def cii(root):
    read, deal = Reader(root, CII), "rsm:SupplyChainTradeTransaction/"
    settled = deal + "ram:ApplicableHeaderTradeSettlement/"
    total = settled + "ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
    is_note = read.all("rsm:ExchangedDocument/ram:TypeCode")[0].text == "381"
    line = "ram:SpecifiedLineTradeSettlement/ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount"
    allowances = settled + "ram:SpecifiedTradeAllowanceCharge"
    return is_note, {
        "lines": read.sum(deal + "ram:IncludedSupplyChainTradeLineItem/" + line)
        + read.allowances(allowances, "ram:ChargeIndicator/udt:Indicator", "ram:ActualAmount"),
        "net": read.sum(total + "TaxBasisTotalAmount"),
        "tax": read.sum(settled + "ram:ApplicableTradeTax/ram:CalculatedAmount"),
        "total": read.sum(total + "GrandTotalAmount"),
        "prepaid": read.sum(total + "TotalPrepaidAmount"),
        "due": read.sum(total + "DuePayableAmount"),
    }


for name in sys.argv[1:]:
    root = ElementTree.parse(name).getroot()
    is_note, sums = (cii if root.tag.endswith("}CrossIndustryInvoice") else ubl)(root)
    print(json.dumps({"file": Path(name).name, **{key: f"{-value if is_note else value:f}" for key, value in sums.items()}}))
