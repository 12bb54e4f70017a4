"""Computes every invoice of the real data with Python's fractions and compares with what Farthing says.

    expected.py INVOICES.json     the output of `farthing rate --json`, or invoices shown, as {"invoices": [...]}

Nothing of Farthing is used: prices stand here a second time, as code. Exit 1 and one line for each difference.
"""

import datetime
import json
import math
import sys
from fractions import Fraction
from zoneinfo import ZoneInfo

import prepare

UTC = datetime.timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
TOKYO = ZoneInfo("Asia/Tokyo")
# customer: (currency, decimals, tax, start of the billed period, its end, start of the full period, next end)
CUSTOMERS = {
    "c-1": ("USD", 2, "0.19", UTC, (2023, 11, 1), (2023, 12, 1), (2023, 11, 1)),
    "c-2": ("USD", 2, "0.19", UTC, (2023, 11, 1), (2023, 12, 1), (2023, 11, 1)),
    "c-3": ("USD", 2, None, UTC, (2023, 11, 1), (2023, 12, 1), (2023, 11, 1)),
    "c-4": ("USD", 2, None, UTC, (2023, 11, 10), (2023, 12, 1), (2023, 11, 1)),
    "c-5": ("USD", 2, "0.19", BERLIN, (2023, 11, 16), (2023, 12, 16), (2023, 11, 16)),
    "c-yen": ("JPY", 0, None, TOKYO, (2023, 11, 1), (2023, 12, 1), (2023, 11, 1)),
    "c-dinar": ("KWD", 3, None, UTC, (2023, 11, 1), (2023, 12, 1), (2023, 11, 1)),
}
E24 = 10**24


def half_even(value, scale):
    """The nearest multiple of 1/scale, halves to the even one: DESIGN section 4."""
    return Fraction(round(value * scale), scale)  # Python's round() of a Fraction is half-even


def amount(value):
    return half_even(value, E24)


def at(zone, date):
    return datetime.datetime(*date, tzinfo=zone).astimezone(UTC)


def nanos(time):
    whole, _, fraction = time.partition(".")
    seconds = int(datetime.datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


def graduated(q, tiers):
    lower, lines = Fraction(0), []
    for number, (up_to, each, per, flat) in enumerate(tiers, 1):
        if q <= lower:
            break
        inside = (q if up_to is None else min(q, up_to)) - lower
        lines.append((number, inside, amount(inside * each / per)))
        if flat:
            lines.append((number, Fraction(1), flat))
        lower = up_to
    return lines


def volume(q, tiers):
    if q <= 0:
        return []
    for number, (up_to, each, flat) in enumerate(tiers, 1):
        if up_to is None or q <= up_to:
            lines = [(number, q, q * each)]
            return lines + ([(number, Fraction(1), flat)] if flat else [])
    raise AssertionError


def F(text):
    return Fraction(text)


def usage_everything(events, start, end, full):
    """Lines (price, group, tier, quantity, exact amount) of the plan `everything`, before discounts. No tier: the curve has none."""
    share = Fraction((end - start).total_seconds()) / Fraction((end - full).total_seconds())
    lines = []

    tokens = sum(F(e["input_tokens"]) for e in events)
    included = half_even(F(100_000) * share, 10**9)
    if tokens > 0:
        lines.append(("in", None, None, min(tokens, included), F(0)))
    tiers = [(F(1_000_000), F("0.15"), 1_000_000, F(0)), (F("2000000.5"), F("0.12"), 1_000_000, F("0.37")), (None, F("0.07"), 999_983, F(0))]
    lines += [("in", None, *line) for line in graduated(max(F(0), tokens - included), tiers)]

    for region in sorted({e["region"] for e in events}):
        q = sum(F(e["output_tokens"]) for e in events if e["region"] == region)
        tiers = [(F(5000), F("0.000015"), F(0)), (F(12000), F("0.000013"), F("0.01")), (None, F("0.00001"), F("0.05"))]
        lines += [("out", (("region", region),), *line) for line in volume(q, tiers)]

    packs = math.ceil(F(len(events)) / 100)
    lines.append(("packs", None, None, F(packs), packs * F("0.25")))

    large = sum(1 for e in events if e["model"] == "large")
    cap = amount(F("0.10") * share)
    if large * F("0.0004") > cap:
        lines.append(("capped", None, None, F(1), cap))
    else:
        lines.append(("capped", None, None, F(large), large * F("0.0004")))

    people = F(len({e["user"] for e in events}))
    free = half_even(F(10) * share, 10**9)
    lines.append(("people", None, None, min(people, free), F(0)))
    lines.append(("people", None, None, people - free, amount((people - free) * F("0.1234567"))))

    longest = max(F(e["input_tokens"]) for e in events)
    step = 1 if longest <= 1000 else 2 if longest <= 7400 else 3
    lines.append(("peak", None, step, F(1), [F("1"), F("2.5"), F("4.75")][step - 1]))

    in_time = sorted(events, key=lambda e: (nanos(e["time"]), e["id"].encode()))
    seats = F(in_time[-1]["seats"])
    lines.append(("seat", None, None, seats, seats * F("0.4")))

    until = int(end.timestamp()) * 10**9
    times = [nanos(e["time"]) for e in in_time] + [until]
    held = sum(F(e["disk"]) * (times[i + 1] - times[i]) for i, e in enumerate(in_time))
    disk = half_even(held / (3600 * 10**9), 10**9)
    lines.append(("disk", None, None, disk, amount(disk * F("0.000123456789"))))

    share_of_cost = F(0)
    for e in events:
        value = F(e["cost"])
        if value > 0:
            share_of_cost += min(max(amount(value * F("0.029")) + F("0.0003"), F("0.0005")), F("0.0011"))
    lines.append(("share", None, None, F(1), share_of_cost))

    table = [("large", "eu", F("0.0019"), 1000), ("large", "us", F("0.0017"), 1000), ("small", "eu", F("0.0003"), 7)]
    quantities = {}
    for e in events:
        row = next((i for i, (model, region, *_) in enumerate(table, 1) if (e["model"], e["region"]) == (model, region)), 4)
        quantities[row] = quantities.get(row, F(0)) + F(e["input_tokens"])
    for row, q in sorted(quantities.items()):
        each, per = table[row - 1][2:] if row < 4 else (F("0.000001"), 1)
        lines.append(("routes", None, row, q, amount(q * each / per)))
    return lines, share


def lines_of(customer, events, start, end, full):
    """All lines of the closing bill: (kind, price, group, tier, quantity, exact amount)."""
    if customer == "c-yen":
        q, packs = sum(F(e["input_tokens"]) for e in events), math.ceil(F(len(events)) / 7)
        return [("usage", "in", None, None, q, amount(q * F("0.021") / 1000)), ("usage", "packs", None, None, F(packs), F(packs))]
    if customer == "c-dinar":
        q = sum(F(e["output_tokens"]) for e in events)
        return [("usage", "out", None, None, q, q * F("0.0000123"))]
    usage, share = usage_everything(events, start, end, full)
    lines = [("fee", None, None, None, F(1), amount(F("4.99") * share)), ("fee", None, None, None, F(1), F("20"))]
    lines += [("usage", *line) for line in usage]
    seat = next(line[4] for line in usage if line[0] == "seat")
    lines.append(("discount", "seat", None, None, F(1), -amount(seat / 2)))
    minimum = amount(F("1.15") * share)
    if seat - amount(seat / 2) < minimum:
        lines.append(("minimum", "seat", None, None, F(1), minimum - (seat - amount(seat / 2))))
    return lines


def round_half_away(value, decimals):
    scaled = abs(value) * 10**decimals
    whole = math.floor(scaled + Fraction(1, 2))
    return whole if value >= 0 else -whole


def apportion(exact, total, decimals):
    """Floor each, then one unit each to the largest remainders, the earlier line first: DESIGN section 10."""
    scaled = [value * 10**decimals for value in exact]
    parts = [math.floor(value) for value in scaled]
    order = sorted(range(len(exact)), key=lambda i: (-(scaled[i] - parts[i]), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


def text(minor, decimals):
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).rjust(decimals + 1, "0")
    return sign + (digits[:-decimals] + "." + digits[-decimals:] if decimals else digits)


class Differences:
    def __init__(self):
        self.found = []

    def compare(self, where, what, found, expected):
        if found != expected:
            self.found.append(f"{where}: {what} is {found}, expected {expected}")


def number(value):
    return None if value is None else Fraction(value)


def check_bill(invoice, customer, lines, residue_before, differences):
    """Compares one document with the expected lines; gives the rounding residue after it."""
    currency, decimals, tax, *_ = CUSTOMERS[customer]
    where = f"{customer} {invoice['period']['end']}"
    shown = [line for line in invoice["lines"] if line["kind"] != "rounding"]
    key = lambda line: tuple(str(part) for part in line)
    found = [
        (
            line["kind"],
            line.get("price"),
            tuple(sorted(line["group"].items())) if line.get("group") else None,
            line.get("tier"),
            number(line.get("quantity")) if line["kind"] == "usage" else F(1),
            number(line["amount_exact"]),
        )
        for line in shown
    ]
    for line in sorted(set(found) ^ set(lines), key=key):
        differences.found.append(f"{where}: {'unexpected' if line in found else 'missing'} line {[str(p) for p in line]}")
    differences.compare(where, "the number of lines", len(found), len(lines))

    exact = sum((line[5] for line in lines), F(0))
    differences.compare(where, "net_exact", number(invoice["net_exact"]), exact)
    rounded = round_half_away(exact, decimals)
    # An account that holds a whole minor unit, this bill counted, puts it on the bill.
    carried = math.trunc((residue_before + exact - Fraction(rounded, 10**decimals)) * 10**decimals)
    net = rounded + carried
    residue = exact - Fraction(net, 10**decimals)
    differences.compare(where, "net", invoice["net"], text(net, decimals))
    differences.compare(where, "rounding_residue", number(invoice["rounding_residue"]), residue)
    parts = apportion([number(line["amount_exact"]) for line in shown], rounded, decimals)
    for line, part in zip(shown, parts):
        differences.compare(where, f"amount of {line['kind']} {line.get('price')}", line["amount"], text(part, decimals))
    owed = 0
    if tax:
        owed = round_half_away(Fraction(net, 10**decimals) * F(tax), decimals)
        expected = [{"category": "S", "rate": tax, "net": text(net, decimals), "tax": text(owed, decimals)}]
        differences.compare(where, "taxes", invoice["taxes"], expected)
    else:
        differences.compare(where, "taxes", invoice["taxes"], [])
    differences.compare(where, "currency", invoice["currency"], currency)
    differences.compare(where, "total", invoice["total"], text(net + owed, decimals))
    differences.compare(where, "due", invoice["due"], text(net + owed, decimals))
    return residue_before + residue


def main():
    with open(sys.argv[1]) as file:
        invoices = json.load(file)["invoices"]
    differences = Differences()
    by_customer = {customer: [] for customer in CUSTOMERS}
    for event in prepare.events():
        by_customer[event["customer"]].append(event)
    for customer, (currency, _, _, zone, start, end, full) in CUSTOMERS.items():
        own = sorted((i for i in invoices if i["customer"] == customer), key=lambda i: i["period"]["end"])
        bills = [lines_of(customer, by_customer[customer], at(zone, start), at(zone, end), at(zone, full))]
        if currency == "USD":
            share = Fraction((at(zone, end) - at(zone, start)).total_seconds()) / Fraction((at(zone, end) - at(zone, full)).total_seconds())
            bills.insert(0, [("fee", None, None, None, F(1), amount(F("20") * share))])
        differences.compare(customer, "the number of bills", len(own), len(bills))
        residue = F(0)
        for invoice, lines in zip(own, bills):
            residue = check_bill(invoice, customer, lines, residue, differences)
    for line in differences.found:
        print(line)
    print(f"{len(invoices)} invoices compared, {len(differences.found)} differences")
    sys.exit(1 if differences.found else 0)


if __name__ == "__main__":
    main()
