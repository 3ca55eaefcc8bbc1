//! Bytes as text.

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 6, without padding.
pub(crate) fn base32(bytes: &[u8]) -> String {
    encode(bytes, BASE32, 5)
}

/// RFC 4648, section 4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = encode(bytes, BASE64, 6);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn encode(bytes: &[u8], alphabet: &[u8], bits: u32) -> String {
    let mut text = String::new();
    let (mut pending, mut held) = (0_u32, 0);
    for byte in bytes {
        pending = (pending << 8 | u32::from(*byte)) & 0xffff;
        held += 8;
        while held >= bits {
            held -= bits;
            text.push(letter(alphabet, pending >> held));
        }
    }
    if held > 0 {
        text.push(letter(alphabet, pending << (bits - held)));
    }
    text
}

fn letter(alphabet: &[u8], value: u32) -> char {
    char::from(alphabet[value as usize % alphabet.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, in_32, in_64) in [
            ("", "", ""),
            ("f", "MY", "Zg=="),
            ("fo", "MZXQ", "Zm8="),
            ("foo", "MZXW6", "Zm9v"),
            ("foob", "MZXW6YQ", "Zm9vYg=="),
            ("fooba", "MZXW6YTB", "Zm9vYmE="),
            ("foobar", "MZXW6YTBOI", "Zm9vYmFy"),
        ] {
            assert_eq!(
                (base32(bytes.as_bytes()).as_str(), base64(bytes.as_bytes()).as_str()),
                (in_32, in_64)
            );
        }
    }
}
