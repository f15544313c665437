//! Languages and scripts of texts.

use outlay_audit::{Script, language, scripts};
use proptest::prelude::*;

fn code(text: &str) -> &str {
    language(text).map_or("", |language| language.code)
}

/// The first article of the Universal Declaration of Human Rights, in the United Nations' translations.
const ARTICLE: &[(&str, &str)] = &[
    (
        "eng",
        "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
    ),
    (
        "deu",
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    ),
    (
        "fra",
        "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    ),
    (
        "spa",
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    ),
    (
        "ita",
        "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    ),
    (
        "por",
        "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    ),
    (
        "nld",
        "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    ),
    (
        "pol",
        "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    ),
    (
        "rus",
        "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    ),
    (
        "ukr",
        "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства.",
    ),
    (
        "tur",
        "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    ),
    (
        "vie",
        "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được tạo hóa ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình bằng hữu.",
    ),
    (
        "ell",
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    ),
    (
        "ara",
        "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء.",
    ),
    (
        "hin",
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    ),
    (
        "jpn",
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    ),
    (
        "kor",
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    ),
    (
        "cmn",
        "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    ),
    ("tha", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ"),
];

#[test]
fn languages_of_many_scripts_are_told() {
    for (own, text) in ARTICLE {
        assert_eq!(code(text), *own, "{text}");
    }
}

#[test]
fn what_is_no_language_is_unknown() {
    for text in [
        "",
        "ok",
        "Yes, please.",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
        "2024-01-02,17.5,0.01,88,19\n2024-01-03,17.9,0.02,87,19\n",
        "https://example.org/a/very/long/address?with=parts https://example.org/another",
        "def main():\n    for name, value in sorted(items.items()):\n        print(f'{name}: {value}')\n",
        "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", add(1, 2)); return 0; }",
        "for (let i = 0; i < rows.length; i++) { total += rows[i].price * rows[i].count; }",
        "{\"name\": \"ann\", \"values\": [1, 2, 3], \"parent\": {\"id\": 7, \"kind\": \"node\"}}",
        "aGVsbG8gd29ybGQ9PT0/Kys+ 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "— … !!! ??? *** ---",
    ] {
        assert_eq!(language(text), None, "{text}");
    }
}

#[test]
fn prose_with_some_signs_is_still_prose() {
    let text = "The `build` step (see below) takes about 5 minutes; it writes every file to the folder that the first \
                argument names, and nothing else. Read more at https://example.org/docs/build?page=2 before you begin.";
    assert_eq!(code(text), "eng");
    assert_eq!(code(&format!("<p>{}</p>", ARTICLE[1].1)), "deu");
}

#[test]
fn letters_are_counted_by_script() {
    assert_eq!(
        scripts("東京へ行く, Tokyo 2024; Ελλάδα"),
        [
            (Script::Greek, 6),
            (Script::Latin, 5),
            (Script::Han, 3),
            (Script::Kana, 2)
        ]
    );
    assert_eq!(scripts("12 + 34 = 46 ×÷"), []);
    assert_eq!(scripts(""), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,300}") {
        if let Some(language) = language(&text) {
            prop_assert!((0.0..=1.0).contains(&language.confidence));
            prop_assert!(language.code.len() == 3);
            prop_assert!(scripts(&text).iter().any(|(script, _)| *script == language.script));
        }
    }

    #[test]
    fn scripts_of_parts_add_up(one in "\\PC{0,60}", other in "\\PC{0,60}") {
        let count = |text: &str| scripts(text).iter().map(|(_, n_letters)| n_letters).sum::<u64>();
        prop_assert_eq!(count(&format!("{one}{other}")), count(&one) + count(&other));
    }
}
