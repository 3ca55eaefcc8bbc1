//! The secrets of the suite, and where one of them is in some bytes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};

/// How many bytes of a secret in a row are found, at least those from here to here. Any half of a secret key has such.
const BLOCK: usize = 12;
/// What every session token begins with.
const TOKENS_BEGIN_WITH: &[u8] = b"IQoJb3JpZ2luX2Vj";
/// Bytes that are encoded are looked for in words of so many.
const WORD: usize = 16;

/// A secret, by its place in the order in which they became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u32);

/// What is known of a secret beside itself.
#[derive(Debug)]
pub struct Secret {
    /// What it is: `secret key`, `session token`, `seed`, `code`.
    pub kind: String,
    /// The test that it is of.
    pub test: String,
}

/// Pieces of secrets, by their first eight bytes.
type Blocks = HashMap<u64, Vec<(Number, [u8; BLOCK])>, BuildHasherDefault<Multiply>>;

/// Everything that has become known, by `aws_simulator::make_known`.
#[derive(Default)]
pub struct Secrets {
    known: Vec<Secret>,
    values: HashSet<Vec<u8>>,
    blocks: Blocks,
    /// The codes of each test: six digits stand in many places by chance.
    codes: HashMap<(String, [u8; 6]), Number>,
    /// The folder of each sandbox, and the test that it is of.
    sandboxes: HashMap<PathBuf, String>,
    /// Files that a test has opened to others.
    open: HashSet<PathBuf>,
    /// An end of a line that is not there yet.
    rest: Vec<u8>,
}

impl Secrets {
    /// Takes the next bytes of what becomes known.
    pub fn learn(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            if let [kind, test, value] = line.splitn(3, '\t').collect::<Vec<_>>()[..] {
                self.add(kind, test, value);
            }
        }
    }

    fn add(&mut self, kind: &str, test: &str, value: &str) {
        let number = Number(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
        let secret = || Secret { kind: kind.to_owned(), test: test.to_owned() };
        let value = match kind {
            "sandbox" => {
                self.sandboxes.insert(value.into(), test.to_owned());
                return;
            }
            "open file" => {
                self.open.insert(value.into());
                return;
            }
            "code" => {
                if let Ok(code) = <[u8; 6]>::try_from(value.as_bytes()) {
                    self.codes.entry((test.to_owned(), code)).or_insert_with(|| {
                        self.known.push(secret());
                        number
                    });
                }
                return;
            }
            _ => value.as_bytes(),
        };
        // What is shorter, or has other characters, is what a test tries in the place of a secret.
        let whole = value.len() >= BLOCK && value.iter().all(|byte| is_encoding(*byte) || *byte == b'=');
        if !whole || !self.values.insert(value.to_vec()) {
            return;
        }
        self.known.push(secret());
        self.add_blocks(number, value.strip_prefix(TOKENS_BEGIN_WITH).unwrap_or(value));
        if kind == "seed" {
            self.add_blocks(number, &from_base32(value));
        }
    }

    fn add_blocks(&mut self, number: Number, value: &[u8]) {
        let last = value.len().saturating_sub(BLOCK);
        for start in (0..last).step_by(BLOCK).chain([last]) {
            if let Some(block) = value.get(start..start + BLOCK).and_then(|block| block.try_into().ok()) {
                self.blocks.entry(first_eight(block)).or_default().push((number, block));
            }
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known of one.
    pub fn get(&self, number: Number) -> &Secret {
        &self.known[number.0 as usize]
    }

    /// The sandboxes that there were, and the tests that they are of.
    pub fn sandboxes(&self) -> &HashMap<PathBuf, String> {
        &self.sandboxes
    }

    /// Whether a test has opened this file to others.
    pub fn is_open(&self, file: &Path) -> bool {
        self.open.contains(file)
    }

    /// Which secrets are in these bytes: as they are, or their bytes in hexadecimal, base64, per cent or backslashes.
    /// Codes are not among them.
    pub fn find(&self, text: &[u8]) -> Vec<Number> {
        let mut found = self.find_plain(text);
        if let Some(text) = unescaped(text) {
            found.extend(self.find_plain(&text));
        }
        for word in text.split(|byte| !is_encoding(*byte)).filter(|word| word.len() >= WORD) {
            for start in 0..4 {
                found.extend(self.find_plain(&from_base64(&word[start..])));
            }
            if word.iter().all(u8::is_ascii_hexdigit) {
                for start in 0..2 {
                    found.extend(self.find_plain(&from_hexadecimal(&word[start..])));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn find_plain(&self, text: &[u8]) -> Vec<Number> {
        let mut found = Vec::new();
        for window in text.windows(BLOCK) {
            if let Ok(block) = window.try_into()
                && let Some(candidates) = self.blocks.get(&first_eight(block))
            {
                let same = candidates.iter().filter(|(_, other)| *other == block);
                found.extend(same.map(|(number, _)| *number));
            }
        }
        found
    }

    /// Which codes of this test are in these bytes, as a word of their own.
    pub fn find_codes(&self, test: &str, bytes: &[u8]) -> Vec<Number> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let words = bytes.split(|byte| !word(byte));
        let codes = words.filter_map(|word| <[u8; 6]>::try_from(word).ok());
        codes.filter_map(|code| self.codes.get(&(test.to_owned(), code))).copied().collect()
    }
}

fn first_eight(block: [u8; BLOCK]) -> u64 {
    block.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The keys are random already.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

/// A character of base64 (either alphabet) or of hexadecimal.
fn is_encoding(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// Without backslashes, and with what stands behind a per cent sign decoded; none where there is neither.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    if !text.iter().any(|byte| b"\\%".contains(byte)) {
        return None;
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', _) => {}
            (b'%', [high, low, after @ ..])
                if let (Some(high), Some(low)) = (hexadecimal(*high), hexadecimal(*low)) =>
            {
                plain.push(high << 4 | low);
                rest = after;
            }
            _ => plain.push(*first),
        }
    }
    Some(plain)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn from_hexadecimal(text: &[u8]) -> Vec<u8> {
    from_digits(text, 4, hexadecimal)
}

fn from_base32(text: &[u8]) -> Vec<u8> {
    from_digits(text, 5, |digit| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'2'..=b'7' => Some(digit - b'2' + 26),
        _ => None,
    })
}

fn from_base64(text: &[u8]) -> Vec<u8> {
    from_digits(text, 6, |digit| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    })
}

fn from_digits(text: &[u8], bits: u32, value: impl Fn(u8) -> Option<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut pending, mut held) = (0_u32, 0);
    for digit in text.iter().map_while(|digit| value(*digit)) {
        pending = pending << bits | u32::from(digit);
        held += bits;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(pending >> held & 0xff).unwrap_or(0));
        }
        pending &= 0xffff;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "q8Zr/1vJt+W0mYyBf3nXc7LkDs5HgUaPo2Ei4TbN";
    const SEED: &str = "MZXW6YTBOJRGC6TROV2XQ53ZOBUWK4TUNFSGC3DT";

    fn known() -> Secrets {
        let mut secrets = Secrets::default();
        let token = format!("IQoJb3JpZ2luX2Vj{}", "kT7wQ2".repeat(40));
        secrets.learn(format!("secret key\tone\t{KEY}\nsession token\tone\t{token}\nseed\ttwo\t").as_bytes());
        secrets.learn(
            format!("{SEED}\ncode\tone\t123456\ncode\ttwo\t654321\nsandbox\tone\t/tmp/x\n").as_bytes(),
        );
        secrets
    }

    fn kinds(text: &[u8]) -> Vec<String> {
        let secrets = known();
        secrets.find(text).into_iter().map(|number| secrets.get(number).kind.clone()).collect()
    }

    fn encoded(bytes: &[u8], bits: u32, alphabet: &[u8]) -> String {
        let (mut pending, mut held, mut text) = (0_u32, 0, String::new());
        for byte in bytes {
            pending = pending << 8 | u32::from(*byte);
            held += 8;
            while held >= bits {
                held -= bits;
                text.push(char::from(alphabet[(pending >> held) as usize & (alphabet.len() - 1)]));
            }
            pending &= 0xffff;
        }
        text
    }

    #[test]
    fn a_secret_is_found_in_every_coat() {
        let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for around in ["", "a", "ab", "abc"] {
            let text = format!("{around}{KEY}{around}");
            assert_eq!(kinds(text.as_bytes()), ["secret key"]);
            assert_eq!(kinds(encoded(text.as_bytes(), 6, base64).as_bytes()), ["secret key"]);
            assert_eq!(kinds(encoded(text.as_bytes(), 4, b"0123456789abcdef").as_bytes()), ["secret key"]);
        }
        assert_eq!(kinds(KEY.replace('/', "\\/").as_bytes()), ["secret key"]);
        assert_eq!(kinds(KEY.replace('/', "%2F").replace('+', "%2b").as_bytes()), ["secret key"]);
        let every_letter: String = KEY.chars().flat_map(|letter| ['\\', letter]).collect();
        assert_eq!(kinds(every_letter.as_bytes()), ["secret key"]);
        assert_eq!(kinds(SEED.as_bytes()), ["seed"]);
        assert_eq!(kinds(&from_base32(SEED.as_bytes())), ["seed"]);
    }

    #[test]
    fn half_a_secret_is_found_and_what_all_tokens_have_is_not() {
        assert_eq!(kinds(&KEY.as_bytes()[..20]), ["secret key"]);
        assert_eq!(kinds(&KEY.as_bytes()[20..]), ["secret key"]);
        assert_eq!(kinds("kT7wQ2".repeat(5).as_bytes()), ["session token"]);
        assert!(kinds(b"IQoJb3JpZ2luX2Vj").is_empty());
        assert!(kinds(b"nothing of any interest, and 123456").is_empty());
    }

    #[test]
    fn a_code_is_a_word_and_of_its_test() {
        let secrets = known();
        let count = |test, text: &str| secrets.find_codes(test, text.as_bytes()).len();
        assert_eq!(count("one", "--code 123456 "), 1);
        assert_eq!(count("one", "code=123456\n"), 1);
        for text in ["654321", "1234567", "0123456", "a123456", "123456_"] {
            assert_eq!(count("one", text), 0, "{text}");
        }
        assert_eq!(count("two", "123456 654321"), 1);
    }

    #[test]
    fn a_secret_is_known_once_and_a_line_when_it_is_whole() {
        let mut secrets = known();
        assert_eq!(secrets.len(), 5);
        secrets
            .learn(format!("secret key\tthree\t{KEY}\ncode\tone\t123456\nsecret key\tone\tqqqqq").as_bytes());
        assert_eq!(secrets.len(), 5);
        secrets.learn(b"qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\n");
        assert_eq!(secrets.len(), 6);
        secrets.learn(b"session token\tone\t$(touch /tmp/broken)\nsecret key\tone\tshort\n");
        assert_eq!(secrets.len(), 6);
        assert_eq!(secrets.sandboxes().len(), 1);
    }
}
