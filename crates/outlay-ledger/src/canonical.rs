//! One way to write a JSON value, so that one record has one hash: RFC 8785 (JSON Canonicalization Scheme).

use serde_json::Value;

/// A value that has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` has more digits than every JSON reader keeps; allowed: whole numbers up to 9007199254740991, or the number as text"
)]
pub struct NotCanonical(String);

/// Writes a value canonically: keys sorted by UTF-16 units, no blanks, numbers as ECMAScript writes them.
///
/// ```
/// let value = serde_json::json!({"b": 1.0, "a": [true, "x\n"], "\u{20ac}": 1e21});
/// assert_eq!(
///     outlay_ledger::canonical(&value).unwrap(),
///     "{\"a\":[true,\"x\\n\"],\"b\":1,\"\u{20ac}\":1e+21}"
/// );
/// ```
///
/// # Errors
///
/// A whole number whose digits a double-precision reader would change (RFC 8785, section 3.1, by way of I-JSON); all up to 2^53 - 1 are kept.
pub fn canonical(value: &Value) -> Result<String, NotCanonical> {
    exact(value)?;
    serde_json_canonicalizer::to_string(value).map_err(|error| NotCanonical(error.to_string()))
}

fn exact(value: &Value) -> Result<(), NotCanonical> {
    match value {
        Value::Array(values) => values.iter().try_for_each(exact),
        Value::Object(fields) => fields.values().try_for_each(exact),
        Value::Number(number) => {
            let digits = number.to_string();
            // Of a number that is no whole one, the double is all there is.
            let kept = number.is_f64()
                || number
                    .as_f64()
                    .is_some_and(|double| double.to_string() == digits);
            if kept {
                Ok(())
            } else {
                Err(NotCanonical(digits))
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// The example of RFC 8785, section 3.2.3, and the order of section 3.2.3's second example.
    #[test]
    fn agrees_with_the_rfc() {
        let value: Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .expect("JSON");
        assert_eq!(
            canonical(&value).expect("canonical"),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let value: Value = serde_json::from_str(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        )
        .expect("JSON");
        let text = canonical(&value).expect("canonical");
        let order: Vec<usize> = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ]
        .iter()
        .map(|word| text.find(word).expect("there"))
        .collect();
        assert!(order.is_sorted(), "{text}");
    }

    #[test]
    fn rejects_numbers_that_readers_round() {
        assert!(canonical(&json!({"a": 9_007_199_254_740_991_u64})).is_ok());
        assert!(canonical(&json!({"a": [9_007_199_254_740_993_u64]})).is_err());
        assert!(canonical(&json!(-9_007_199_254_740_993_i64)).is_err());
    }

    proptest! {
        #[test]
        fn writing_what_was_written_changes_nothing(number in any::<f64>(), text in ".*", key in ".*") {
            let value = json!({key: [number, text]});
            let once = canonical(&value).expect("canonical");
            let again: Value = serde_json::from_str(&once).expect("JSON");
            prop_assert_eq!(canonical(&again).expect("canonical"), once);
        }
    }
}
