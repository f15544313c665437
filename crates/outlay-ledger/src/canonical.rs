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
    let mut out = Vec::new();
    write(value, &mut out)?;
    String::from_utf8(out).map_err(|error| NotCanonical(error.to_string()))
}

/// Appends a value. All but fractions are written here, a few times as fast as the general writer does; a million records are to be written again when they are verified.
fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    let plain = |error: serde_json::Error| NotCanonical(error.to_string());
    match value {
        Value::Array(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by(|(a, _), (b, _)| by_utf16(a, b));
            out.push(b'{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name).map_err(plain)?;
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
        // Of a number that is no whole one, the double is all there is.
        Value::Number(number) if number.is_f64() => {
            out.extend(serde_json_canonicalizer::to_vec(number).map_err(plain)?);
        }
        Value::Number(number) => {
            let digits = number.to_string();
            let is_kept = number.as_f64().is_some_and(|double| {
                double.abs() < 9_007_199_254_740_992.0 || double.to_string() == digits
            });
            if !is_kept {
                return Err(NotCanonical(digits));
            }
            out.extend(digits.as_bytes());
        }
        // Of the ways to write a text, serde's is that of the RFC.
        Value::String(_) | Value::Bool(_) | Value::Null => {
            serde_json::to_writer(out, value).map_err(plain)?;
        }
    }
    Ok(())
}

/// The order of the RFC's section 3.2.3; of plain ASCII it is the order of the bytes.
fn by_utf16(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() && b.is_ascii() {
        a.cmp(b)
    } else {
        a.encode_utf16().cmp(b.encode_utf16())
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

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991..9_007_199_254_740_992_i64).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..8)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_general_writer(value in any_value()) {
            let general = serde_json_canonicalizer::to_string(&value).expect("JSON");
            prop_assert_eq!(canonical(&value).expect("canonical"), general);
        }

        #[test]
        fn writing_what_was_written_changes_nothing(number in any::<f64>(), text in ".*", key in ".*") {
            let value = json!({key: [number, text]});
            let once = canonical(&value).expect("canonical");
            let again: Value = serde_json::from_str(&once).expect("JSON");
            prop_assert_eq!(canonical(&again).expect("canonical"), once);
        }
    }
}
