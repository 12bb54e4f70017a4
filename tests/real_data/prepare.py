"""Deals the real requests out to customers and writes them as events.

    prepare.py csv OUT      one row per request, for `farthing send`
    prepare.py ndjson OUT   CloudEvents, shuffled and with copies, for `farthing rate`
"""

import csv
import json
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).parent
CUSTOMERS = ["c-1", "c-2", "c-3", "c-4", "c-5", "c-yen", "c-dinar"]
PROPERTIES = ["model", "region", "user", "input_tokens", "output_tokens", "cost", "seats", "disk"]


def events():
    """The requests as dictionaries, in the file's order. Everything but time and tokens follows from the row number."""
    with open(HERE / "llm_code_requests.csv", newline="") as file:
        for row, request in enumerate(csv.DictReader(file)):
            tokens_in, tokens_out = int(request["ContextTokens"]), int(request["GeneratedTokens"])
            cost = tokens_in * 37 + tokens_out * 110  # in 10^-7
            disk = row * 13 % 1000 * 125  # in 10^-3
            yield {
                "id": f"r-{row}",
                "time": request["TIMESTAMP"],
                "customer": CUSTOMERS[row * row % 7 if row % 2 else row % 7],
                "model": ["large", "medium", "small"][row % 3],
                "region": "ap" if row % 11 == 0 else ["eu", "us"][row // 3 % 2],
                "user": f"u-{row * row % 97}",
                "input_tokens": str(tokens_in),
                "output_tokens": str(tokens_out),
                "cost": f"{cost // 10**7}.{cost % 10**7:07}",
                "seats": str(1 + row * 7 % 23),
                "disk": f"{disk // 1000}.{disk % 1000:03}",
            }


def rfc3339(time):
    return time.replace(" ", "T") + "Z"


def main():
    kind, out = sys.argv[1:]
    rows = list(events())
    with open(out, "w", newline="") as file:
        if kind == "csv":
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            return
        copies = rows + rows[::3] + rows[::10]
        random.Random(7).shuffle(copies)
        for row in copies:
            event = {
                "specversion": "1.0",
                "type": "llm.request",
                "source": "gateway",
                "id": row["id"],
                "subject": row["customer"],
                "time": rfc3339(row["time"]),
                "data": {name: row[name] for name in PROPERTIES},
            }
            file.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
