//! QR codes in a terminal: two modules a character, in colours of their own, so that light and dark themes show the same.

use std::fmt::Write as _;

use qrcode::bits::Bits;
use qrcode::{Color, EcLevel, QrCode, Version};
use zeroize::Zeroizing;

/// Black and white of the palette's fixed part, which no theme changes.
const DARK: u8 = 16;
const LIGHT: u8 = 231;

/// How much of a code may be unreadable: 7 %.
const REDUNDANCY: EcLevel = EcLevel::L;

/// Bytes that a character takes at most with the colours before it, for the size of buffers.
const CELL: usize = 24;

/// A code, of square modules.
pub struct Qr {
    /// Row by row; `true` is dark.
    modules: Zeroizing<Vec<bool>>,
    width: usize,
}

impl Qr {
    /// The code of a text, cut so that long capitals and digits stand alone: they take little room. `None` where it is
    /// too long. With the least redundancy: nothing covers a screen, and fewer modules are larger ones.
    pub fn new(parts: &[&str]) -> Option<Self> {
        let bits = (1..=40).find_map(|version| bits(parts, version))?;
        let code = QrCode::with_bits(bits, REDUNDANCY).ok()?;
        let width = code.width();
        let modules = code.into_colors().into_iter().map(|color| color == Color::Dark).collect();
        Some(Self { modules: Zeroizing::new(modules), width })
    }

    /// How many columns and rows of characters it takes with a margin of so many modules.
    pub fn size(&self, margin: usize) -> (usize, usize) {
        let side = self.width + 2 * margin;
        (side, side.div_ceil(2))
    }

    /// Its lines, each with the sequences that colour it and that take the colours back.
    pub fn draw(&self, margin: usize) -> Zeroizing<String> {
        let (columns, rows) = self.size(margin);
        let mut text = Zeroizing::new(String::with_capacity(rows * (columns * CELL + CELL)));
        for row in 0..rows {
            let mut colors = None;
            for column in 0..columns {
                let [upper, lower] = [2 * row, 2 * row + 1]
                    .map(|line| if self.is_dark(line, column, margin) { DARK } else { LIGHT });
                if colors != Some((upper, lower)) {
                    let _ = write!(text, "\x1b[38;5;{lower};48;5;{upper}m");
                    colors = Some((upper, lower));
                }
                // Where both are the same no glyph is needed. The lower half it is: that of many fonts ends where the
                // line does, and the upper one leaves a gap above.
                text.push(if upper == lower { ' ' } else { '▄' });
            }
            text.push_str("\x1b[0m\r\n");
        }
        text
    }

    fn is_dark(&self, line: usize, column: usize, margin: usize) -> bool {
        let (Some(line), Some(column)) = (line.checked_sub(margin), column.checked_sub(margin)) else {
            return false;
        };
        line < self.width && column < self.width && self.modules[line * self.width + column]
    }
}

/// The text in a code of this size, if it fits.
fn bits(parts: &[&str], version: i16) -> Option<Bits> {
    let mut bits = Bits::new(Version::Normal(version));
    for part in parts {
        let is_plain = part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let part = part.as_bytes();
        if is_plain { bits.push_alphanumeric_data(part) } else { bits.push_byte_data(part) }.ok()?;
    }
    bits.push_terminator(REDUNDANCY).ok()?;
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_modules_are_a_character() {
        let modules = Zeroizing::new(vec![true, false, true, true]);
        let qr = Qr { modules, width: 2 };
        assert_eq!(qr.size(0), (2, 1));
        // Dark above dark, and light above dark.
        let (both, lower) = ("\x1b[38;5;16;48;5;16m ", "\x1b[38;5;16;48;5;231m▄");
        assert_eq!(*qr.draw(0), format!("{both}{lower}\x1b[0m\r\n"));
        assert_eq!(qr.size(1), (4, 2));
        let blank = "\x1b[38;5;231;48;5;231m ";
        let framed = qr.draw(1);
        let lines: Vec<&str> = framed.lines().collect();
        assert_eq!(lines.len(), 2);
        // The margin above, then the first line of modules below it.
        assert_eq!(lines[0], format!("{blank}{lower}{blank} \x1b[0m"));
    }

    #[test]
    fn a_code_of_awss_fits_into_a_terminal_of_24_lines() {
        let seed = "A2".repeat(32);
        let parts = ["otpauth://totp/AWS:alice@111122223333?secret=", &seed, "&issuer=AWS"];
        assert_eq!(Qr::new(&parts).unwrap().size(2), (41, 21));
        assert_eq!(Qr::new(&[&parts.concat().to_lowercase()]).unwrap().size(2), (45, 23));
    }

    #[test]
    fn a_buffer_never_grows() {
        let qr = Qr::new(&[&"otpauth://totp/".repeat(8)]).unwrap();
        let (columns, rows) = qr.size(4);
        assert!(qr.draw(4).len() < rows * (columns * CELL + CELL));
    }
}
