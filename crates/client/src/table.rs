//! Columns of text, every cell made harmless.

use protocol::sanitize::sanitize;

/// Rows of cells as lines, each column as wide as its widest cell.
pub fn of<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[_; COLUMNS]> = rows.iter().map(|row| row.each_ref().map(|cell| sanitize(cell))).collect();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["A", "B"], ["längst", "x"], ["\x1b", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(of(&rows), "A       B\nlängst  x\n\\u{1b}\n");
    }
}
