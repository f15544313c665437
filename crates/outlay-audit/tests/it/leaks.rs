//! Items of benchmarks in the data: changed, in part, short, common.

use std::path::PathBuf;

use outlay_audit::{Audit, Benchmarks, Finder, Grade, Items, Leak, Report};

/// Questions of our own, long ones first, with their answers.
const ITEMS: [(&str, &str); 5] = [
    (
        "A lighthouse keeper on the island of Brona trims 14 lamps each evening and oils every third hinge on Sundays. If a lamp burns two litres of oil in a week, how many litres does she carry up in the month of June?",
        "She carries 120 litres: fourteen lamps burn 28 litres a week, and June has a little over four weeks.",
    ),
    (
        "Which mineral, first described from the slag heaps near Freiberg, turns violet when heated slowly and then loses its colour for good in daylight?",
        "hackmanite; sodalite; spodumene; fluorite",
    ),
    (
        "Two weavers share a loom that breaks a thread every 40 minutes. The elder mends a thread in 6 minutes and the younger in 10. Working alternate hours from noon until six, how much time is left for weaving?",
        "They weave for 288 minutes in all.",
    ),
    (
        "Who painted the ceiling of the Sala Verde?",
        "It was painted by Lorenzo Tibaldi in one winter.",
    ),
    ("What is it?", "A stone."),
];

fn found(text: &str) -> Vec<Leak> {
    let mut items = Items::default();
    for (question, answer) in ITEMS {
        items.add(question, answer);
    }
    let mut leaks = Vec::new();
    items
        .ready()
        .find(text, &mut Finder::default(), |leak| leaks.push(leak));
    leaks
}

fn within(text: &str) -> String {
    format!(
        "The page begins with something else, as pages do. {text} And then it goes on about the weather of that year."
    )
}

#[test]
fn changed_questions_are_found() {
    let (question, answer) = ITEMS[0];
    let words: Vec<&str> = question.split_whitespace().collect();
    let every = |n: usize| {
        let changed = words
            .iter()
            .enumerate()
            .map(|(at, word)| if at % n == n - 1 { "otherwise" } else { word });
        changed.collect::<Vec<_>>().join(" ")
    };
    let bare: String = question
        .to_uppercase()
        .chars()
        .filter(|letter| !letter.is_ascii_punctuation())
        .collect();
    for (way, text) in [
        ("verbatim", question.to_owned()),
        ("bare", bare),
        ("every tenth word", every(10)),
        ("first half", words[..words.len() / 2].join(" ")),
        ("second half", words[words.len() / 2..].join(" ")),
        (
            "a word more",
            question.replace("each evening", "each and every evening"),
        ),
    ] {
        let leaks = found(&within(&text));
        assert_eq!(leaks.len(), 1, "{way}");
        assert_eq!(
            (leaks[0].item, leaks[0].grade, leaks[0].is_answered),
            (0, Grade::Leaked, false),
            "{way}"
        );
    }
    let leaks = found(&within(&format!("{question}\n{answer}")));
    assert!(leaks[0].is_answered && leaks[0].share > 0.99 && leaks[0].in_runs_of_8 > 0.99);
    assert_eq!(leaks[0].longest_run as usize, words.len());
}

#[test]
fn the_passage_is_the_question() {
    let (question, _) = ITEMS[1];
    let text = within(question);
    assert_eq!(
        &text[found(&text)[0].place.clone()],
        question.trim_end_matches('?')
    );
}

#[test]
fn what_only_sounds_like_it_is_not() {
    for text in [
        "A lighthouse keeper on the island of Skarv lights 3 lamps each evening. How many lamps does he light in a week?",
        "Which mineral, first described from a mine in Saxony, is the hardest? Two weavers share a house.",
        "how much time is left for weaving, and how many litres does she carry up in a year of work on the island?",
        "",
        "who painted the ceiling of the sala",
    ] {
        assert_eq!(found(&within(text)), [], "{text}");
    }
}

#[test]
fn a_short_item_is_leaked_with_its_answer_alone() {
    let (question, answer) = ITEMS[3];
    let grade = |text: &str| found(&within(text)).first().map(|leak| leak.grade);
    assert_eq!(grade(question), Some(Grade::Suspect));
    assert_eq!(grade(&format!("{question} {answer}")), Some(Grade::Leaked));
    assert_eq!(grade("Who painted the ceiling of the Sala Rossa?"), None);
    // Three words are in any text.
    assert_eq!(grade("What is it? A stone."), None);
}

/// Questions that begin alike, as those of one template do, are told apart by what is their own.
#[test]
fn what_many_items_share_says_nothing() {
    let mut items = Items::default();
    for n in 0..200 {
        items.add(
            &format!("For which of these two cases does the speaker do something that is plainly wrong by the rules of the house? case{n} what{n} when{n}"),
            "",
        );
    }
    let reference = items.ready();
    let mut leaks = Vec::new();
    let text = within(
        "For which of these two cases does the speaker do something that is plainly wrong by the rules of the house? No other words.",
    );
    reference.find(&text, &mut Finder::default(), |leak| leaks.push(leak));
    assert_eq!(leaks, []);
}

fn report(data: &[u8], benchmark: &[u8]) -> (Audit, Benchmarks, Report) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let (data, benchmark) = (write("data.jsonl", data), write("test.jsonl", benchmark));
    let settings = crate::settings(folder.path());
    let benchmarks = outlay_audit::benchmarks(&[benchmark], &settings, |_| {}).unwrap();
    let audit = outlay_audit::audit(&[data], Some(&benchmarks), &settings, |_| {}).unwrap();
    let report = Report::new(&audit, settings.near.as_ref(), Some(&benchmarks)).unwrap();
    (audit, benchmarks, report)
}

#[test]
fn a_report_counts_items_and_writes_places() {
    let line =
        |id: &str, text: &str| serde_json::json!({"id": id, "text": text}).to_string() + "\n";
    let data = line("x", &within(ITEMS[0].0))
        + &line("y", "nothing of the kind")
        + &line("z", &within(&format!("{} {}", ITEMS[0].0, ITEMS[0].1)));
    let mut benchmark = String::new();
    for (at, (question, answer)) in ITEMS.iter().enumerate() {
        benchmark +=
            &(serde_json::json!({"id": format!("q{at}"), "question": question, "answer": answer})
                .to_string()
                + "\n");
    }
    let (audit, _, report) = report(data.as_bytes(), benchmark.as_bytes());
    let leaks = report.leaks.unwrap();
    assert_eq!(
        (leaks.long.n_items, leaks.long.n_leaked, leaks.long.n_clean),
        (3, 1, 2)
    );
    assert_eq!((leaks.short.n_items, leaks.n_unfindable), (1, 1));
    assert_eq!(leaks.items[0].n_records, 2);
    assert_eq!(
        (
            leaks.items[0].most.record.as_str(),
            leaks.items[0].most.is_answered
        ),
        ("z", true)
    );
    let mut out = Vec::new();
    audit.write_leaks(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let places: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = places
        .iter()
        .map(|place| {
            (
                place["record"].as_str().unwrap(),
                place["item"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("x", "q0"), ("z", "q0")]);
}

/// A question with other numbers has another answer: it is a twin of the item, and worth a look.
#[test]
fn a_twin_with_other_numbers_is_suspect() {
    let of = |bought: [u32; 3]| {
        let [first, second, third] = bought;
        format!(
            "Max bought stamps at the post office. Some of the stamps had a snowflake design, some had a truck design, and some had a rose \
             design. Max bought {first} snowflake stamps. He bought {second} more truck stamps than snowflake stamps, and {third} fewer rose \
             stamps than truck stamps. How many stamps did Max buy in all?"
        )
    };
    let mut items = Items::default();
    items.add(&of([16, 3, 9]), "");
    let reference = items.ready();
    let grade = |text: &str| {
        let mut grades = Vec::new();
        reference.find(&within(text), &mut Finder::default(), |leak| {
            grades.push(leak.grade);
        });
        grades
    };
    assert_eq!(grade(&of([16, 3, 9])), [Grade::Leaked]);
    assert_eq!(grade(&of([16, 3, 10])), [Grade::Leaked], "one was changed");
    assert_eq!(grade(&of([11, 9, 13])), [Grade::Suspect]);
    let cut = of([1234, 3456, 1200]);
    let mut items = Items::default();
    items.add(
        &cut.replace("1234", "1,234")
            .replace("3456", "3,456")
            .replace("1200", "1,200"),
        "",
    );
    let mut grades = Vec::new();
    items
        .ready()
        .find(&within(&cut), &mut Finder::default(), |leak| {
            grades.push(leak.grade);
        });
    assert_eq!(grades, [Grade::Leaked], "numbers are written otherwise");
    // The first half, in which there is no number, or one.
    let half: String = of([16, 3, 9]).chars().take(150).collect();
    assert_eq!(grade(&half), [Grade::Leaked]);
}

/// A passage that many texts quote, in which an item begins, is no sign of the item; the item itself is, and so are many copies of
/// one text.
#[test]
fn what_many_texts_share_says_nothing() {
    let preamble = "We the People of the United States, in Order to form a more perfect Union, establish Justice, insure domestic \
                    Tranquility, provide for the common defence, promote the general Welfare";
    let question = format!(
        "{preamble}. Which of these aims did the earlier articles lack any means of reaching?"
    );
    let benchmark =
        serde_json::json!({"id": "q", "question": question, "answer": "domestic tranquility"})
            .to_string();
    let mut draw = crate::Draw(8);
    let mut text = |middle: &str| {
        let mut words = || {
            (0..60)
                .map(|_| format!("word{}", draw.below(900)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        serde_json::json!({"text": format!("{} {middle} {}", words(), words())}).to_string() + "\n"
    };
    let graded = |data: &str| {
        let (audit, _, report) = report(data.as_bytes(), benchmark.as_bytes());
        let leaks = report.leaks.unwrap();
        assert_eq!(leaks.long.n_items, 1);
        (
            leaks.long.n_leaked,
            leaks.long.n_suspect,
            leaks.n_common,
            audit.leaked.len(),
        )
    };
    let few: String = (0..19).map(|_| text(preamble)).collect();
    assert_eq!(graded(&few), (1, 0, 0, 19));
    let many: String = (0..25).map(|_| text(preamble)).collect();
    assert_eq!(graded(&many), (0, 1, 0, 0));
    // Less of it, which is suspect in few texts.
    let words: Vec<&str> = preamble.split(' ').collect();
    let part = format!(
        "{} something {}",
        words[..11].join(" "),
        words[12..22].join(" ")
    );
    let some: String = (0..25).map(|_| text(&part)).collect();
    assert_eq!(graded(&some), (0, 0, 1, 0));
    assert_eq!(graded(&text(&part)), (0, 1, 0, 0));
    let one = text(preamble);
    assert_eq!(graded(&one.repeat(40)), (1, 0, 0, 40));
    let with_item = format!("{many}{}", text(&question));
    assert_eq!(graded(&with_item), (1, 0, 0, 26));
}

proptest::proptest! {
    #[test]
    fn any_items_and_texts_are_looked_at_without_panic(
        items in proptest::collection::vec(("[a-c é.]{0,80}", "[a-c ]{0,20}"), 0..6), text in "[a-c é.]{0,200}",
    ) {
        let mut collected = Items::default();
        for (question, answer) in &items {
            collected.add(question, answer);
        }
        let reference = collected.ready();
        reference.find(&text, &mut Finder::default(), |leak| {
            assert!(text.get(leak.place.clone()).is_some());
            assert!(leak.share <= 1.001);
        });
    }
}
