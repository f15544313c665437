//! Headers of safetensors and GGUF files: tensor shapes, and so exact parameter counts.
//!
//! Nothing is allocated by a length that a file claims: every length is checked against what is left of the file
//! first, and headers over 100 MB are refused.

use std::io::Read;

use serde_json::Value;

use crate::error::Error;

/// Largest header read.
const HEADER_MOST: u64 = 100_000_000;

fn damaged(file: &str, message: impl Into<String>) -> Error {
    Error::Syntax {
        file: file.to_owned(),
        message: message.into(),
    }
}

/// Parameters in a safetensors file, from its header.
///
/// `length` is the file's length in bytes.
///
/// # Errors
/// [`Error::Syntax`] where the header is cut short, claims more than the file holds, or is no JSON.
pub fn safetensors_parameters(
    input: &mut impl Read,
    length: u64,
    file: &str,
) -> Result<u64, Error> {
    let mut size = [0u8; 8];
    input.read_exact(&mut size).map_err(|_| {
        damaged(
            file,
            "shorter than the 8 bytes that a safetensors file begins with",
        )
    })?;
    let header = u64::from_le_bytes(size);
    if header > HEADER_MOST || header > length.saturating_sub(8) {
        return Err(damaged(
            file,
            format!(
                "the header claims {header} bytes, but the file has {length}; it is cut short or no safetensors file"
            ),
        ));
    }
    let mut text = Vec::new();
    input
        .take(header)
        .read_to_end(&mut text)
        .map_err(|error| damaged(file, error.to_string()))?;
    if text.len() as u64 != header {
        return Err(damaged(file, "the header is cut short"));
    }
    let value: Value = serde_json::from_slice(&text)
        .map_err(|error| damaged(file, format!("the header is no JSON: {error}")))?;
    let Some(tensors) = value.as_object() else {
        return Err(damaged(file, "the header is no JSON object"));
    };
    let mut total = 0u64;
    for (name, tensor) in tensors.iter().filter(|(name, _)| *name != "__metadata__") {
        let Some(shape) = tensor.get("shape").and_then(Value::as_array) else {
            return Err(damaged(file, format!("tensor `{name}` has no `shape`")));
        };
        let Some(bits) = tensor
            .get("dtype")
            .and_then(Value::as_str)
            .and_then(element_bits)
        else {
            return Err(damaged(
                file,
                format!("tensor `{name}` has no `dtype` that safetensors knows"),
            ));
        };
        let mut elements = 1u64;
        for side in shape {
            elements = side
                .as_u64()
                .and_then(|side| elements.checked_mul(side))
                .ok_or_else(|| damaged(file, format!("tensor `{name}` has an impossible shape")))?;
        }
        let span = tensor
            .get("data_offsets")
            .and_then(Value::as_array)
            .and_then(|offsets| match offsets.as_slice() {
                [start, end] => Some((start.as_u64()?, end.as_u64()?)),
                _ => None,
            })
            .filter(|(start, end)| start <= end && *end <= length - 8 - header);
        let Some((start, end)) = span else {
            return Err(damaged(
                file,
                format!(
                    "tensor `{name}` has `data_offsets` outside the file; it is cut short or damaged"
                ),
            ));
        };
        if u128::from(end - start) * 8 != u128::from(elements) * u128::from(bits) {
            return Err(damaged(
                file,
                format!(
                    "tensor `{name}` has {} bytes for {elements} elements of {bits} bits",
                    end - start
                ),
            ));
        }
        total = total
            .checked_add(elements)
            .ok_or_else(|| damaged(file, "more parameters than can be counted"))?;
    }
    Ok(total)
}

/// Bits of an element of a safetensors type.
fn element_bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F64" | "I64" | "U64" | "C64" => 64,
        "F32" | "I32" | "U32" => 32,
        "F16" | "BF16" | "I16" | "U16" => 16,
        "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "F6_E2M3" | "F6_E3M2" => 6,
        "F4" => 4,
        _ => return None,
    })
}

/// What a GGUF header says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gguf {
    /// `general.architecture`.
    pub architecture: String,
    /// Whole-number metadata, by key.
    pub numbers: std::collections::BTreeMap<String, u64>,
    /// `general.name`.
    pub name: String,
    /// Entries of the token list.
    pub n_tokens: u64,
    /// Parameters, from the tensor shapes.
    pub parameters: u64,
    /// Whether an output product of its own is there.
    pub has_output: bool,
}

struct Reader<'a, R> {
    input: &'a mut R,
    left: u64,
    file: &'a str,
}

impl<R: Read> Reader<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut buffer = [0u8; N];
        self.spend(N as u64)?;
        self.input
            .read_exact(&mut buffer)
            .map_err(|_| damaged(self.file, "the GGUF header is cut short"))?;
        Ok(buffer)
    }

    fn spend(&mut self, size: u64) -> Result<(), Error> {
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| damaged(self.file, "the GGUF header claims more than the file holds"))?;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, size: u64) -> Result<(), Error> {
        self.spend(size)?;
        let copied = std::io::copy(&mut self.input.by_ref().take(size), &mut std::io::sink())
            .map_err(|error| damaged(self.file, error.to_string()))?;
        if copied == size {
            Ok(())
        } else {
            Err(damaged(self.file, "the GGUF header is cut short"))
        }
    }

    fn text(&mut self) -> Result<String, Error> {
        let size = self.u64()?;
        if size > 1_000_000 {
            return Err(damaged(
                self.file,
                format!("a text of {size} bytes in the GGUF header"),
            ));
        }
        self.spend(size)?;
        let mut buffer = Vec::new();
        self.input
            .take(size)
            .read_to_end(&mut buffer)
            .map_err(|error| damaged(self.file, error.to_string()))?;
        if buffer.len() as u64 != size {
            return Err(damaged(self.file, "the GGUF header is cut short"));
        }
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }

    /// Reads or skips a value of a metadata type; whole numbers and the length of arrays are given back.
    fn value(&mut self, sort: u32, depth: u32) -> Result<Option<u64>, Error> {
        Ok(match sort {
            0 => Some(u64::from(self.bytes::<1>()?[0])),
            1 | 7 => {
                self.skip(1)?;
                None
            }
            2 => Some(u64::from(u16::from_le_bytes(self.bytes()?))),
            3 => {
                self.skip(2)?;
                None
            }
            4 => Some(u64::from(self.u32()?)),
            5 => u64::try_from(i32::from_le_bytes(self.bytes()?)).ok(),
            6 => {
                self.skip(4)?;
                None
            }
            8 => {
                let size = self.u64()?;
                self.skip(size)?;
                None
            }
            9 if depth < 4 => {
                let inner = self.u32()?;
                let n = self.u64()?;
                if n > self.left {
                    return Err(damaged(
                        self.file,
                        "an array in the GGUF header claims more than the file holds",
                    ));
                }
                let mut first = None;
                for index in 0..n {
                    let value = self.value(inner, depth + 1)?;
                    if index == 0 && inner != 8 {
                        first = value;
                    }
                }
                if inner == 8 { Some(n) } else { first }
            }
            10 => Some(self.u64()?),
            11 => u64::try_from(i64::from_le_bytes(self.bytes()?)).ok(),
            12 => {
                self.skip(8)?;
                None
            }
            other => {
                return Err(damaged(
                    self.file,
                    format!("unknown GGUF value type {other}"),
                ));
            }
        })
    }
}

/// Reads a GGUF header (versions 2 and 3).
///
/// # Errors
/// [`Error::Syntax`] where the header is cut short, claims more than the file holds, or is of another version.
pub fn read_gguf(input: &mut impl Read, length: u64, file: &str) -> Result<Gguf, Error> {
    let mut reader = Reader {
        input,
        left: length,
        file,
    };
    if &reader.bytes::<4>()? != b"GGUF" {
        return Err(damaged(file, "does not begin with `GGUF`"));
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(damaged(
            file,
            format!("GGUF version {version}; known: 2 and 3"),
        ));
    }
    let n_tensors = reader.u64()?;
    let n_pairs = reader.u64()?;
    if n_tensors > length / 24 || n_pairs > length / 12 {
        return Err(damaged(
            file,
            format!("the header claims {n_tensors} tensors and {n_pairs} values in {length} bytes"),
        ));
    }
    let mut out = Gguf::default();
    for _ in 0..n_pairs {
        let key = reader.text()?;
        let sort = reader.u32()?;
        if sort == 8 && (key == "general.architecture" || key == "general.name") {
            let text = reader.text()?;
            if key == "general.name" {
                out.name = text;
            } else {
                out.architecture = text;
            }
        } else if let Some(number) = reader.value(sort, 0)? {
            if key == "tokenizer.ggml.tokens" {
                out.n_tokens = number;
            }
            out.numbers.insert(key, number);
        }
    }
    for _ in 0..n_tensors {
        let name = reader.text()?;
        let sides = reader.u32()?;
        if sides > 8 {
            return Err(damaged(
                file,
                format!("tensor `{name}` has {sides} dimensions"),
            ));
        }
        let mut elements = 1u64;
        for _ in 0..sides {
            elements = elements
                .checked_mul(reader.u64()?)
                .ok_or_else(|| damaged(file, format!("tensor `{name}` has an impossible shape")))?;
        }
        reader.skip(12)?;
        out.has_output |= name == "output.weight";
        out.parameters = out
            .parameters
            .checked_add(elements)
            .ok_or_else(|| damaged(file, "more parameters than can be counted"))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors(header: &str) -> Vec<u8> {
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&[0; 34]);
        out
    }

    const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[3,5],"data_offsets":[0,30]},"b":{"dtype":"F32","shape":[],"data_offsets":[30,34]}}"#;

    #[test]
    fn counts_safetensors() {
        let file = safetensors(GOOD);
        assert_eq!(
            safetensors_parameters(&mut file.as_slice(), file.len() as u64, "x").unwrap(),
            16
        );
    }

    #[test]
    fn a_header_that_claims_too_much_allocates_nothing() {
        let mut file = (1u64 << 60).to_le_bytes().to_vec();
        file.extend_from_slice(b"{}");
        let error =
            safetensors_parameters(&mut file.as_slice(), file.len() as u64, "big.safetensors")
                .unwrap_err();
        assert!(error.to_string().contains("big.safetensors"), "{error}");
        for hostile in [
            r#"{"a":{"dtype":"BF16","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,2]}}"#,
            r#"{"a":{"dtype":"Q99","shape":[1],"data_offsets":[0,2]}}"#,
            r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,2]}}"#,
            r#"{"a":{"dtype":"BF16","shape":[400],"data_offsets":[0,800]}}"#,
            r#"{"a":{"dtype":"BF16","shape":[1],"data_offsets":[2,0]}}"#,
            r#"{"a":{"dtype":"BF16","shape":[1]}}"#,
            "[]",
        ] {
            let file = safetensors(hostile);
            assert!(
                safetensors_parameters(&mut file.as_slice(), file.len() as u64, "x").is_err(),
                "{hostile}"
            );
        }
    }

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    /// A GGUF file of one tensor and a few values.
    pub(crate) fn gguf() -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend_from_slice(&3u32.to_le_bytes());
        out.extend_from_slice(&1u64.to_le_bytes());
        out.extend_from_slice(&3u64.to_le_bytes());
        text(&mut out, "general.architecture");
        out.extend_from_slice(&8u32.to_le_bytes());
        text(&mut out, "llama");
        text(&mut out, "llama.block_count");
        out.extend_from_slice(&4u32.to_le_bytes());
        out.extend_from_slice(&32u32.to_le_bytes());
        text(&mut out, "tokenizer.ggml.tokens");
        out.extend_from_slice(&9u32.to_le_bytes());
        out.extend_from_slice(&8u32.to_le_bytes());
        out.extend_from_slice(&2u64.to_le_bytes());
        text(&mut out, "a");
        text(&mut out, "b");
        text(&mut out, "output.weight");
        out.extend_from_slice(&2u32.to_le_bytes());
        out.extend_from_slice(&7u64.to_le_bytes());
        out.extend_from_slice(&11u64.to_le_bytes());
        out.extend_from_slice(&[0; 12]);
        out
    }

    #[test]
    fn reads_gguf() {
        let file = gguf();
        let header = read_gguf(&mut file.as_slice(), file.len() as u64, "x.gguf").unwrap();
        assert_eq!(
            (header.parameters, header.n_tokens, header.has_output),
            (77, 2, true)
        );
        assert_eq!(header.numbers["llama.block_count"], 32);
        for cut in 0..file.len() {
            assert!(
                read_gguf(&mut &file[..cut], cut as u64, "x").is_err(),
                "cut at {cut}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_error_and_no_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let length = bytes.len() as u64;
            let _ = safetensors_parameters(&mut bytes.as_slice(), length, "x");
            let _ = read_gguf(&mut bytes.as_slice(), length, "x");
        }

        #[test]
        fn a_changed_byte_is_no_panic(at in 0usize..200, byte in proptest::prelude::any::<u8>()) {
            let mut file = gguf();
            let at = at % file.len();
            file[at] = byte;
            let _ = read_gguf(&mut file.as_slice(), file.len() as u64, "x");
            let mut file = safetensors(GOOD);
            let at = at % file.len();
            file[at] = byte;
            let _ = safetensors_parameters(&mut file.as_slice(), file.len() as u64, "x");
        }
    }
}
