//! What lines say in the customer's words. Bills say it in English, in a few phrases around names, numbers and dates; each
//! phrase is here with its translations. What is not here stays as it is.

use super::Language;

/// `#` is a number, `@` a date, `*` anything without a blank: English, German, French. The longer of two that fit comes first.
const PHRASES: [[&str; 3]; 34] = [
    ["# used in # events at #", "# in # Ereignissen zu #", "# en # événements à #"],
    ["# used in # event at #", "# in # Ereignis zu #", "# en # événement à #"],
    ["# packages of up to # at #", "# Pakete zu je höchstens # für #", "# lots de # au plus à #"],
    ["# at # per # = # with # tax", "# zu # je # = # mit # Steuer", "# à # par # = # avec # de taxe"],
    ["# at # = # with # tax", "# zu # = # mit # Steuer", "# à # = # avec # de taxe"],
    ["up to the minimum spend of #", "bis zum Mindestumsatz von #", "jusqu’à l’engagement minimal de #"],
    ["up to the minimum of #", "bis zum Mindestbetrag von #", "jusqu’au minimum de #"],
    ["# of # days of #", "# von # Tagen, ganz #", "# jours sur # de #"],
    ["# of # hours of #", "# von # Stunden, ganz #", "# heures sur # de #"],
    ["# of # minutes of #", "# von # Minuten, ganz #", "# minutes sur # de #"],
    ["# of # seconds of #", "# von # Sekunden, ganz #", "# secondes sur # de #"],
    ["# of # days", "# von # Tagen", "# jours sur #"],
    ["# of # hours", "# von # Stunden", "# heures sur #"],
    ["included up to #", "inklusive, bis #", "inclus, jusqu’à #"],
    ["flat of tier #", "Pauschale der Stufe #", "forfait du palier #"],
    ["capped at #", "begrenzt auf #", "plafonné à #"],
    ["out of the rounding account", "aus dem Rundungskonto", "du compte d’arrondi"],
    ["unused part of", "nicht genutzter Teil von", "part non utilisée de"],
    ["late usage", "nachträgliche Nutzung", "usage tardif"],
    ["all others", "alle übrigen", "tous les autres"],
    ["at least #", "mindestens #", "au moins #"],
    ["at most #", "höchstens #", "au plus #"],
    ["+ # each", "+ je #", "+ # chacun"],
    ["tier #", "Stufe #", "palier #"],
    ["step #", "Stufe #", "palier #"],
    ["# used", "# verbraucht", "# utilisés"],
    ["# spent", "# erreicht", "# atteints"],
    ["# off", "# Rabatt", "# de remise"],
    ["@ to @", "@ – @", "@ – @"],
    ["credit *", "Guthaben *", "crédit *"],
    ["unused", "ungenutzt", "non utilisé"],
    ["trial", "Testzeitraum", "essai"],
    ["#", "#", "#"],
    ["@", "@", "@"],
];

/// A word with what stands around it.
#[derive(Clone, Copy)]
struct Word<'a> {
    before: &'a str,
    core: &'a str,
    after: &'a str,
}

/// Translates what a line says. Before a colon stand names, which are kept.
pub(super) fn translate(language: Language, english: &str) -> String {
    let (name, said) = match english.split_once(": ") {
        Some((name, said)) => (format!("{name}: "), said),
        None => (String::new(), english),
    };
    let words: Vec<Word<'_>> = said.split(' ').map(Word::new).collect();
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
        let found = PHRASES.iter().find_map(|phrase| Some((phrase, fit(phrase[0], rest)?)));
        let (text, count) = match (found, rest.first()) {
            (Some((phrase, count)), _) => (said_in(language, phrase, rest.get(..count).unwrap_or_default()), count),
            (None, Some(word)) => (word.whole(word.core), 1),
            (None, None) => break,
        };
        out.push(text);
        at += count;
    }
    format!("{name}{}", out.join(" "))
}

/// How many words a phrase takes, where the words are its own.
fn fit(phrase: &str, words: &[Word<'_>]) -> Option<usize> {
    let mut count = 0;
    for part in phrase.split(' ') {
        let word = words.get(count)?;
        let is = match part {
            "#" => is_number(word.core),
            "@" => date(word.core).is_some(),
            "*" => !word.core.is_empty(),
            own => word.core == own,
        };
        if !is {
            return None;
        }
        count += 1;
    }
    Some(count)
}

fn said_in(language: Language, phrase: &[&str; 3], words: &[Word<'_>]) -> String {
    let is_slot = |part: &str| matches!(part, "#" | "@" | "*");
    let own = match language {
        // Its own punctuation stays where it is.
        Language::English => {
            let words = phrase[0].split(' ').zip(words);
            let said = words.map(|(part, word)| {
                word.whole(&if is_slot(part) { value(language, word.core) } else { word.core.to_owned() })
            });
            return said.collect::<Vec<_>>().join(" ");
        }
        Language::German => phrase[1],
        Language::French => phrase[2],
    };
    let mut slots = phrase[0].split(' ').zip(words).filter(|(part, _)| is_slot(part)).map(|(_, word)| word.core);
    let said = own.split(' ').map(|part| match is_slot(part) {
        true => slots.next().map(|core| value(language, core)).unwrap_or_default(),
        false => part.to_owned(),
    });
    let said = said.collect::<Vec<_>>().join(" ");
    let (before, after) = (words.first().map_or("", |word| word.before), words.last().map_or("", |word| word.after));
    format!("{before}{said}{after}")
}

/// A number or a date as people write it.
fn value(language: Language, core: &str) -> String {
    if let Some(date) = date(core) {
        return language.date(date);
    }
    match core.strip_suffix('%') {
        Some(_) if is_number(core) => language.percent(core),
        // Bills set thousands apart as English does.
        None if is_number(core) => language.number(&core.replace(',', "")),
        _ => core.to_owned(),
    }
}

fn is_number(core: &str) -> bool {
    let digits = core.strip_suffix('%').unwrap_or(core);
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    whole.split(',').all(all) && all(fraction)
}

fn date(core: &str) -> Option<jiff::civil::Date> {
    core.parse().ok().filter(|_| core.len() == 10)
}

// === impl Word ===

impl<'a> Word<'a> {
    fn new(text: &'a str) -> Self {
        let core = text.trim_start_matches('(');
        let (before, _) = text.split_at(text.len() - core.len());
        let core = core.trim_end_matches([',', ')']);
        let after = text.get(before.len() + core.len()..).unwrap_or_default();
        Self { before, core, after }
    }

    fn whole(&self, core: &str) -> String {
        format!("{}{core}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_said_in_the_customers_words() {
        for (english, german, french) in [
            (
                "out (region=eu): included, up to 1,000",
                "out (region=eu): inklusive, bis 1.000",
                "out (region=eu): inclus, jusqu’à 1\u{202f}000",
            ),
            ("base, 2026-02-01 to 2026-02-28", "base, 01.02.2026 – 28.02.2026", "base, 01/02/2026 – 28/02/2026"),
            (
                "call: 3 packages of up to 1,000 at 0.25",
                "call: 3 Pakete zu je höchstens 1.000 für 0,25",
                "call: 3 lots de 1\u{202f}000 au plus à 0,25",
            ),
            ("launch, 10% off", "launch, 10\u{a0}% Rabatt", "launch, 10\u{a0}% de remise"),
            (
                "shop: 200.5 used in 2 events at 2.9% + 0.30 each",
                "shop: 200,5 in 2 Ereignissen zu 2,9\u{a0}% + je 0,30",
                "shop: 200,5 en 2 événements à 2,9\u{a0}% + 0,30 chacun",
            ),
            ("model: model=large, \"new\"", "model: model=large, \"new\"", "model: model=large, \"new\""),
        ] {
            assert_eq!(translate(Language::German, english), german);
            assert_eq!(translate(Language::French, english), french);
        }
        assert_eq!(translate(Language::English, "in: tier 2"), "in: tier 2");
        assert_eq!(translate(Language::English, "base, 2026-02-01 to 2026-02-28"), "base, 1 Feb 2026 to 28 Feb 2026");
    }
}
