//! Text of others on its way to the terminal: what would move the cursor, colour, hide or reorder the words
//! is shown as its code instead.

use std::borrow::Cow;

/// The text with every invisible or commanding character spelled out, e.g. `\u{1b}`.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_harmful(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

fn is_harmful(character: char) -> bool {
    // C0, DEL and C1.
    character.is_control()
        || matches!(character,
            // Soft hyphen, combining joiner, Arabic letter mark, Mongolian separators, invisible fillers.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
            // Zero-width spaces, joiners, and the marks of direction.
            | '\u{200b}'..='\u{200f}'
            // Separators of lines and paragraphs, embeddings and overrides of direction.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            // Variation selectors, byte order mark, interlinear annotation, tags.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_sequence_and_an_override_are_spelled_out() {
        assert_eq!(sanitize("\x1b]0;x\x07"), "\\u{1b}]0;x\\u{7}");
        assert_eq!(sanitize("a\u{202e}b\n"), "a\\u{202e}b\\n");
        assert_eq!(sanitize("\u{9b}31m\u{200b}\u{feff}"), "\\u{9b}31m\\u{200b}\\u{feff}");
        assert!(matches!(sanitize("Zürich, 東京 'x'"), Cow::Borrowed(_)));
    }

    #[test]
    fn no_character_that_commands_comes_through() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            let clean = sanitize(&text);
            let commands = |c: char| (c as u32) < 0x20 || (0x7f..0xa0).contains(&(c as u32));
            assert!(!clean.chars().any(commands), "{:x}", character as u32);
        }
    }
}
