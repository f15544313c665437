//! Keys and tokens, by the forms that their issuers gave them so that they can be found, and passwords that are set.

use std::sync::LazyLock;

use regex::Regex;

use super::{Private, PrivateKind};

/// What begins a token, its name, and how it goes on.
struct Form {
    name: &'static str,
    begin: &'static str,
    whole: &'static str,
}

/// Published forms: the issuers' own pages, and GitHub's list of what its secret scanning finds.
const FORMS: &[Form] = &[
    Form {
        name: "aws_access_key",
        begin: "AKIA",
        whole: "AKIA[A-Z2-7]{16}",
    },
    Form {
        name: "aws_access_key",
        begin: "ASIA",
        whole: "ASIA[A-Z2-7]{16}",
    },
    Form {
        name: "github_token",
        begin: "ghp_",
        whole: "ghp_[A-Za-z0-9]{36}",
    },
    Form {
        name: "github_token",
        begin: "gho_",
        whole: "gho_[A-Za-z0-9]{36}",
    },
    Form {
        name: "github_token",
        begin: "ghu_",
        whole: "ghu_[A-Za-z0-9]{36}",
    },
    Form {
        name: "github_token",
        begin: "ghs_",
        whole: "ghs_[A-Za-z0-9]{36}",
    },
    Form {
        name: "github_token",
        begin: "ghr_",
        whole: "ghr_[A-Za-z0-9]{36}",
    },
    Form {
        name: "github_token",
        begin: "github_pat_",
        whole: "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    },
    Form {
        name: "gitlab_token",
        begin: "glpat-",
        whole: "glpat-[A-Za-z0-9_-]{20,}",
    },
    Form {
        name: "slack_token",
        begin: "xox",
        whole: "xox[abeoprs]-[A-Za-z0-9-]{10,}",
    },
    Form {
        name: "slack_webhook",
        begin: "https://hooks.slack.com/services/",
        whole: "https://hooks\\.slack\\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}",
    },
    Form {
        name: "stripe_key",
        begin: "sk_live_",
        whole: "sk_live_[A-Za-z0-9]{16,}",
    },
    Form {
        name: "stripe_key",
        begin: "rk_live_",
        whole: "rk_live_[A-Za-z0-9]{16,}",
    },
    Form {
        name: "anthropic_key",
        begin: "sk-ant-",
        whole: "sk-ant-[A-Za-z0-9_-]{24,}",
    },
    Form {
        name: "openai_key",
        begin: "sk-",
        whole: "sk-(proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}",
    },
    Form {
        name: "hugging_face_token",
        begin: "hf_",
        whole: "hf_[A-Za-z]{34}",
    },
    Form {
        name: "google_api_key",
        begin: "AIza",
        whole: "AIza[A-Za-z0-9_-]{35}",
    },
    Form {
        name: "google_oauth_token",
        begin: "ya29.",
        whole: "ya29\\.[A-Za-z0-9_-]{30,}",
    },
    Form {
        name: "npm_token",
        begin: "npm_",
        whole: "npm_[A-Za-z0-9]{36}",
    },
    Form {
        name: "pypi_token",
        begin: "pypi-AgE",
        whole: "pypi-AgE[A-Za-z0-9_-]{50,}",
    },
    Form {
        name: "sendgrid_key",
        begin: "SG.",
        whole: "SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}",
    },
    Form {
        name: "twilio_key",
        begin: "SK",
        whole: "SK[0-9a-f]{32}",
    },
    Form {
        name: "digitalocean_token",
        begin: "dop_v1_",
        whole: "dop_v1_[0-9a-f]{64}",
    },
    Form {
        name: "databricks_token",
        begin: "dapi",
        whole: "dapi[0-9a-f]{32}",
    },
    Form {
        name: "json_web_token",
        begin: "eyJ",
        whole: "eyJ[A-Za-z0-9_-]{10,}\\.eyJ[A-Za-z0-9_-]{10,}\\.[A-Za-z0-9_-]{10,}",
    },
    Form {
        name: "private_key",
        begin: "-----BEGIN ",
        whole: "-----BEGIN (RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY( BLOCK)?-----((?s:.*?)-----END [A-Z ]*PRIVATE KEY( BLOCK)?-----)?",
    },
];

static BEGINS: LazyLock<Option<aho_corasick::AhoCorasick>> = LazyLock::new(|| {
    aho_corasick::AhoCorasick::builder()
        .match_kind(aho_corasick::MatchKind::Standard)
        .build(FORMS.iter().map(|form| form.begin))
        .ok()
});

static WHOLES: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
    FORMS
        .iter()
        .map(|form| Regex::new(&format!("^(?:{})", form.whole)).ok())
        .collect()
});

/// A name that says what it is set to, and the value.
static SET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)\b(?:[a-z0-9]*[_-])?(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?token|auth[_-]?token|secret[_-]?key|private[_-]?key)["']?\s{0,3}(?::|=|=>|:=)\s{0,3}["']([^\s"'<>{}$()]{8,100})["']"#,
    )
    .ok()
});

/// What such a regular expression needs, in small letters; without any of them it is not tried.
static NEEDED: LazyLock<Option<aho_corasick::AhoCorasick>> = LazyLock::new(|| {
    aho_corasick::AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "passw", "pwd", "secret", "api_key", "apikey", "api-key", "token", "private",
        ])
        .ok()
});

pub(super) fn find(text: &str, found: &mut Vec<Private>) {
    let bytes = text.as_bytes();
    if let Some(begins) = &*BEGINS {
        for begin in begins.find_overlapping_iter(text) {
            let at = begin.start();
            let is_within =
                at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
            let Some(whole) = &WHOLES[begin.pattern().as_usize()] else {
                continue;
            };
            if is_within {
                continue;
            }
            if let Some(one) = whole.find(&text[at..]) {
                let place = at..at + one.end();
                let form = &FORMS[begin.pattern().as_usize()];
                let own = &text[place.start + form.begin.len()..place.end];
                let has_digit = own.bytes().any(|byte| byte.is_ascii_digit());
                let is_token = !is_filler(own) && (has_digit || form.name == "hugging_face_token");
                if is_token || form.name == "private_key" {
                    found.push(Private {
                        kind: PrivateKind::Secret,
                        form: form.name,
                        place,
                    });
                }
            }
        }
    }
    let (Some(needed), Some(set)) = (&*NEEDED, &*SET) else {
        return;
    };
    let mut next = 0;
    for word in needed.find_iter(text) {
        if word.start() < next {
            continue;
        }
        // The name around this very word, and what it is set to.
        let from = text
            .floor_char_boundary(word.start().saturating_sub(24))
            .max(next);
        let to = text.ceil_char_boundary((word.end() + 140).min(text.len()));
        let Some(value) = set.captures(&text[from..to]).and_then(|one| one.get(1)) else {
            continue;
        };
        next = from + value.end();
        if is_random(value.as_str()) {
            found.push(Private {
                kind: PrivateKind::Secret,
                form: "password",
                place: from + value.start()..next,
            });
        }
    }
}

/// Whether a text stands where a key would: of few different letters, or telling the reader to put it there.
fn is_filler(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut different: Vec<u8> = lower.bytes().collect();
    different.sort_unstable();
    different.dedup();
    different.len() < 6
        || ["your", "xxxx", "placeholder", "redacted"]
            .iter()
            .any(|word| lower.contains(word))
}

/// Whether a text is one that nobody chose to be read: letters and digits mixed, few of them the same, and no example.
fn is_random(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_example = [
        "example",
        "your",
        "xxxx",
        "****",
        "....",
        "placeholder",
        "changeme",
        "dummy",
        "redacted",
        "1234567890",
        "abcdef",
    ]
    .iter()
    .any(|word| lower.contains(word));
    if is_example {
        return false;
    }
    let mut n_of = [0_u32; 128];
    for byte in text.bytes().filter(u8::is_ascii) {
        n_of[usize::from(byte)] += 1;
    }
    let n_all: u32 = n_of.iter().sum();
    // Shannon's entropy, in bits a letter: 16 different letters have 4, words of English somewhat over 3.
    let entropy: f64 = n_of
        .iter()
        .filter(|n| **n > 0)
        .map(|n| {
            let share = f64::from(*n) / f64::from(n_all);
            -share * share.log2()
        })
        .sum();
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_long = text.len() >= 30;
    has_letter && (has_digit || is_long) && entropy >= if text.len() < 16 { 2.7 } else { 3.0 }
}
