//! The contract only grows: every message, field, enum value and call that `contract.txt` lists is still there as it was.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use std::collections::BTreeSet;
use std::path::Path;

/// The contract as this source has it.
fn contract() -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    set.file.retain(|file| file.package() == "farthing.v1");
    set
}

/// All that clients may rely on, a line for each.
fn promises(contract: &FileDescriptorSet) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in &contract.file {
        file.message_type.iter().for_each(|message| of_message(file.package(), message, &mut lines));
        file.enum_type.iter().for_each(|of| of_enum(file.package(), of, &mut lines));
        for service in &file.service {
            for call in &service.method {
                let stream = |is: bool| if is { "stream " } else { "" };
                lines.insert(format!(
                    "rpc {}.{}.{}({}{}) returns ({}{})",
                    file.package(),
                    service.name(),
                    call.name(),
                    stream(call.client_streaming()),
                    call.input_type(),
                    stream(call.server_streaming()),
                    call.output_type(),
                ));
            }
        }
    }
    lines
}

fn of_message(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    lines.insert(format!("message {name}"));
    for field in &message.field {
        let presence = if field.proto3_optional() { " optional" } else { "" };
        let choice = field.oneof_index.and_then(|at| message.oneof_decl.get(usize::try_from(at).ok()?));
        let choice = choice.filter(|_| !field.proto3_optional()).map(|of| format!(" oneof {}", of.name()));
        let scalar = field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase();
        lines.insert(format!(
            "field {name} {} {}: {} {}{presence}{}",
            field.number(),
            field.name(),
            field.label().as_str_name().trim_start_matches("LABEL_").to_lowercase(),
            if field.type_name().is_empty() { scalar.as_str() } else { field.type_name() },
            choice.unwrap_or_default(),
        ));
    }
    message.nested_type.iter().for_each(|nested| of_message(&name, nested, lines));
    message.enum_type.iter().for_each(|nested| of_enum(&name, nested, lines));
}

fn of_enum(scope: &str, of: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    for value in &of.value {
        lines.insert(format!("value {scope}.{} {} {}", of.name(), value.number(), value.name()));
    }
}

/// What was promised and is not there.
fn broken(promised: &str, contract: &FileDescriptorSet) -> Vec<String> {
    let kept = promises(contract);
    promised.lines().filter(|line| !kept.contains(*line)).map(str::to_owned).collect()
}

fn promised() -> String {
    let lines = promises(&contract()).iter().map(|line| format!("{line}\n")).collect::<String>();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract.txt");
    if std::env::var_os("FARTHING_PROMISE").is_some() {
        std::fs::write(&path, lines).unwrap();
    }
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_contract_keeps_what_it_promised() {
    let broken = broken(&promised(), &contract());
    assert!(
        broken.is_empty(),
        "farthing.v1 no longer has what proto/contract.txt promises to clients:\n  {}\nPut it back as it was; what is not \
         used any more stays, marked `deprecated`, and what is to be otherwise gets a new name and number. To promise what \
         is new: FARTHING_PROMISE=1 cargo test --workspace --test contract",
        broken.join("\n  ")
    );
}

fn message<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut DescriptorProto {
    set.file.iter_mut().flat_map(|file| &mut file.message_type).find(|message| message.name() == name).unwrap()
}

#[test]
fn nothing_that_was_promised_can_go_unnoticed() {
    let promised = promised();
    let broken_by = |change: &dyn Fn(&mut FileDescriptorSet)| {
        let mut altered = contract();
        change(&mut altered);
        broken(&promised, &altered).len()
    };
    assert_eq!(broken_by(&|_| ()), 0);
    assert_eq!(broken_by(&|set| drop(message(set, "Event").field.remove(0))), 1, "a field goes");
    assert_eq!(broken_by(&|set| message(set, "Event").field[0].number = Some(99)), 1, "a number changes");
    assert_eq!(broken_by(&|set| message(set, "Event").field[0].name = Some("uid".to_owned())), 1, "a name changes");
    assert_eq!(broken_by(&|set| message(set, "Event").field[0].r#type = Some(12)), 1, "text becomes bytes");
    assert_eq!(broken_by(&|set| message(set, "IngestRequest").field[0].label = Some(1)), 1, "a list becomes one");
    let gone = |set: &mut FileDescriptorSet| {
        set.file.iter_mut().for_each(|file| file.message_type.retain(|message| message.name() != "Rejection"));
    };
    assert_eq!(broken_by(&gone), 5, "a message with four fields goes");
    let calls = |set: &mut FileDescriptorSet| {
        set.file.iter_mut().flat_map(|file| &mut file.service).for_each(|service| service.method.truncate(1));
    };
    assert!(broken_by(&calls) > 20, "calls go");
    let grown = |set: &mut FileDescriptorSet| {
        let mut more = message(set, "Event").clone();
        more.field[0].number = Some(98);
        more.field[0].name = Some("more".to_owned());
        let more = more.field.remove(0);
        message(set, "Event").field.push(more);
    };
    assert_eq!(broken_by(&grown), 0, "what is new breaks nothing");
}
