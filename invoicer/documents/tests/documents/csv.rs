//! Lines as CSV: one row each, quoted where they must be, with all that the canonical JSON says of them.

use crate::cases;
use pricing::bill::{Status, document};

#[test]
fn lines_are_rows_of_a_draft_too() {
    let plan = "currency: EUR, discounts: [{id: launch, percent: 10%}], prices: [\
                {id: out, meter: tokens, per_group: true, graduated: [{up_to: 10, each: 0.15}, {each: 0.1}]}, \
                {id: model, meter: tokens, dimensional: {by: [model], rows: [{is: [\"a \\\"b\\\", c\"], each: 0.002}]}}]";
    let mut world = cases::world("name: B", "vat19", plan);
    world.used_with("s", "2026-01-10", "out", &[("region", "eu")], "12.5".parse().unwrap());
    world.used_with("s", "2026-01-10", "model", &[("region", "eu"), ("model", "a \"b\", c")], "3".parse().unwrap());
    let bill = world.bill("2026-02-01T00:00:00Z").clone();
    let rows = documents::csv(&document(&bill, None, Status::Draft, false)).unwrap();
    let place = "c/EUR/2026-02-01T00:00:00Z,,c,EUR,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z";
    let expected = [
        "invoice,number,customer,currency,start,end,kind,subscription,price,meter,group,tier,description,quantity,each,per,\
         amount_exact,amount,tax_category,tax_rate"
            .to_owned(),
        format!("{place},usage,s,out,tokens,region=eu,1,out (region=eu): tier 1,10,0.15,,1.5,1.50,S,0.19"),
        format!("{place},usage,s,out,tokens,region=eu,2,out (region=eu): tier 2,2.5,0.1,,0.25,0.25,S,0.19"),
        format!("{place},usage,s,model,tokens,,1,\"model: model=a \"\"b\"\", c\",3,0.002,,0.006,0.01,S,0.19"),
        format!("{place},discount,s,,,,,\"launch, 10% off\",,,,-0.1756,-0.18,S,0.19"),
    ];
    assert_eq!(rows.split_terminator("\r\n").collect::<Vec<_>>(), expected);
    let number = documents::csv(&cases::issue(&world, None)).unwrap();
    assert_eq!(number, rows.replace("Z,,c,EUR", "Z,ACME-17,c,EUR"));
}
