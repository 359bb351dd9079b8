use super::*;
use proptest::prelude::*;

/// Whether a row with these texts is found.
fn finds(texts: &[&str], question: &str) -> bool {
    let (indexed, asked) = (indexed(texts.iter().copied()), asked(question));
    let has = |Asked { term, beginning }: &Asked| {
        if *beginning { indexed.range(term.clone()..).next().is_some_and(|next| next.starts_with(term)) } else { indexed.contains(term) }
    };
    !asked.is_empty() && asked.iter().all(has)
}

#[test]
fn names_are_found_as_people_write_them() {
    for (name, questions) in [
        ("Node.js", &["node.js", "NODE", "js", "nod"][..]),
        ("COVID-19", &["covid-19", "covid 19", "19", "Covid"]),
        ("Web 2.0", &["web 2.0", "2.0", "WEB"]),
        ("a/b", &["a/b", "b"]),
        ("3.5mm", &["3.5mm", "3.5", "5mm"]),
        ("2026-01-31", &["2026-01-31", "2026", "31"]),
        ("Via Roma 12/b", &["via roma 12/b", "12/B", "roma"]),
        ("ann@example.org", &["ann@example.org", "example", "example.org"]),
        ("ΟΔΥΣΣΕΥΣ", &["οδυσσευς", "Οδυσσεύς", "οδυσσευσ"]),
        ("İstanbul", &["istanbul", "ISTANBUL", "İSTANBUL", "ıstanbul"]),
        ("Straße", &["STRASSE", "strasse", "straße", "STRAẞE"]),
        ("Crème brûlée", &["creme brulee", "CRÈME", "bru\u{302}le\u{301}e"]),
        ("Москва хлеб", &["Москва", "москва", "ХЛЕБ", "моск"]),
        ("Ёлка", &["елка", "ёлка"]),
        ("ﬁne ＡＢＣ ½", &["fine", "abc", "½"]),
        ("soft\u{ad}ly spo\u{200b}ken", &["softly", "spo", "ken"]),
        ("L'amico", &["amico", "l'amico", "l’amico"]),
        ("東京都の黒猫クラブ", &["東京", "京都", "黒猫", "猫", "ブ", "クラブ", "ｸﾗﾌﾞ", "東京都の黒猫クラブ"]),
        ("iPhone手机壳", &["手机", "iphone", "iphone手机", "壳"]),
        ("ชมรมขนมปัง", &["ขนมปัง", "ชมรม", "ขนม"]),
        ("고양이를 좋아하는", &["고양이", "좋아", "양이를"]),
        ("I ❤️ 🇮🇹 and 👍🏽", &["❤", "❤️", "🇮🇹", "👍", "👍🏽"]),
        ("👨‍👩‍👧 club", &["👨‍👩‍👧", "👧", "👨‍👩‍👧 club"]),
        ("हिन्दी पुस्तक", &["हिन्दी", "पुस्तक"]),
        ("مُحَمَّد", &["محمد"]),
        ("Rock & Roll", &["&", "rock & roll", "rock"]),
        ("C++", &["c++", "C"]),
        ("?!", &["?!"]),
        ("´´", &["´´"]),
        (".NET", &[".net", "net"]),
    ] {
        for question in questions {
            assert!(finds(&[name], question), "{name} by {question}: {:?} {:?}", indexed([name]), asked(question));
        }
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for (name, question) in [
        ("Node.js", "ode"),
        ("🇮🇹", "🇹🇮"),
        ("🇮🇹", "🇫🇷"),
        ("東京", "京東"),
        ("bread", "bread rye"),
        ("ab", "a b"),
        ("?!", "!"),
        ("Rock", "&"),
        ("👍", "👍🏽"),
    ] {
        assert!(!finds(&[name], question), "{name} by {question}");
    }
    assert_eq!(asked(" \u{200b}\u{0} "), []);
}

#[test]
fn an_accent_that_stands_alone_separates_however_it_is_written() {
    for (name, written) in [("´🏽", " \u{301}🏽"), ("´´", " \u{301} \u{301}"), ("a´b", "a \u{301}b")] {
        assert!(finds(&[name], written) && finds(&[written], name), "{name} by {written:?}");
    }
}

#[test]
fn long_words_and_long_questions_are_cut_on_both_sides_alike() {
    let word = "ü".repeat(5_000);
    assert!(finds(&[&word], &word));
    assert!(indexed([&*word]).iter().all(|term| term.chars().count() <= LONGEST));
    assert_eq!(asked(&"猫犬".repeat(500)).len(), MOST_ASKED);
    assert_eq!(asked(&"a ".repeat(500)).len(), MOST_ASKED);
}

fn names() -> impl Strategy<Value = String> {
    let mixed = "[a-zA-ZßİıςΣéñ0-9 .,'/&+#!?_\u{301}\u{327}東京都猫クラブがｶﾞ고양이ขนมปัง❤️🇮🇹👍🏽\u{200d}\u{fe0f}Москва½ﬁ´-]{1,30}";
    prop_oneof![mixed, "\\PC{1,40}"]
}

proptest! {
    #[test]
    fn every_name_is_found_by_each_of_its_words_and_by_itself(raw in names(), other in names()) {
        if let Ok(name) = circolo_domain::Name::parse(&raw) {
            let name = name.as_str();
            prop_assert!(finds(&[name, &other], name), "{:?} by itself: {:?} {:?}", name, indexed([name]), asked(name));
            for word in name.split_whitespace().filter(|word| word.contains(is_visible)) {
                prop_assert!(finds(&[&other, name], word), "{:?} by {:?}: {:?} {:?}", name, word, indexed([name]), asked(word));
            }
        }
    }

    #[test]
    fn case_and_form_do_not_count(raw in names()) {
        if let Ok(name) = circolo_domain::Name::parse(&raw) {
            let name = name.as_str();
            // In capitals an iota below stands beside its letter, before marks that come after it in the order of Unicode: only
            // decomposed text is in that order before and after.
            let apart: String = name.nfd().collect();
            for written in [apart.to_lowercase(), apart.to_uppercase(), name.nfkc().collect(), apart] {
                let same = asked(&written).is_empty() || finds(&[name], &written);
                prop_assert!(same, "{:?} by {:?}: {:?} {:?}", name, written, indexed([name]), asked(&written));
            }
        }
    }

    #[test]
    fn whatever_stands_within_a_run_is_found(run in "[東京都黒猫クラブ]{1,12}", from in 0_usize..12, long in 1_usize..12) {
        let within: String = run.chars().skip(from).take(long).collect();
        if !within.is_empty() {
            prop_assert!(finds(&[&format!("A{run}b")], &within), "{} in {}", within, run);
        }
    }

    #[test]
    fn a_term_holds_nothing_that_a_database_would_split(text in any::<String>()) {
        for term in indexed([&*text]) {
            prop_assert!(!term.is_empty() && term.chars().all(|c| !c.is_ascii() || c.is_ascii_lowercase() || c.is_ascii_digit()), "{:?}", term);
            prop_assert!(!term.contains(char::is_whitespace), "{:?}", term);
        }
    }
}
