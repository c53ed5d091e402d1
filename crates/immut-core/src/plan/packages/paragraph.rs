//! Paragraphs of `Field: value` lines, as dpkg and opkg keep their records.

/// The field that marks the record of a package of which a part is gone. Parsers of control files
/// pass over fields they do not know.
const MARK: &[u8] = b"immut-Stripped";

/// A text cut after the blank lines that part its paragraphs; together they are the text.
pub(super) fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut paragraphs = Vec::new();
    let (mut start, mut at, mut blank) = (0, 0, false);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let empty = line.trim_ascii().is_empty();
        if blank && !empty {
            paragraphs.push(&text[start..at]);
            start = at;
        }
        blank = empty;
        at += line.len();
    }
    paragraphs.push(&text[start..]);
    paragraphs
}

/// The value of a field on its first line.
pub(super) fn field<'a>(paragraph: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = paragraph.split(|byte| *byte == b'\n');
    lines.find_map(|line| value(line, name)).map(<[u8]>::trim_ascii)
}

/// The same as text, if there is any.
pub(super) fn text(paragraph: &[u8], name: &[u8]) -> Option<String> {
    let value = str::from_utf8(field(paragraph, name)?).ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (field, rest) = line.split_at_checked(name.len())?;
    rest.strip_prefix(b":").filter(|_| field.eq_ignore_ascii_case(name))
}

/// The paths in the field `Conffiles`, sorted, without a slash in front.
pub(super) fn conffiles(paragraph: &[u8]) -> Vec<&[u8]> {
    let mut lines = paragraph.split(|byte| *byte == b'\n');
    lines.by_ref().find(|line| value(line, b"Conffiles").is_some());
    let paths = lines
        .take_while(|line| line.starts_with(b" "))
        .filter_map(|line| line[1..].split(|byte| *byte == b' ').next())
        .map(super::tally::relative);
    let mut paths: Vec<&[u8]> = paths.collect();
    paths.sort_unstable();
    paths
}

pub(super) fn is_marked(paragraph: &[u8]) -> bool {
    field(paragraph, MARK).is_some()
}

/// The paragraph with the mark as its last field.
pub(super) fn marked(paragraph: &[u8]) -> Vec<u8> {
    if is_marked(paragraph) {
        return paragraph.to_vec();
    }
    let text = paragraph.trim_ascii_end().len();
    let rest = paragraph[text..].iter().position(|byte| *byte == b'\n');
    let (fields, end) = paragraph.split_at(rest.map_or(paragraph.len(), |rest| text + rest + 1));
    let newline: &[u8] = if rest.is_some() { b"" } else { b"\n" };
    [fields, newline, MARK, b": yes\n", end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_together_are_the_text() {
        for text in ["", "\n", "A: 1", "A: 1\n\nB: 2\n\n", "\n\nA: 1\n \n\nB: 2", "A: 1\n\n\n"] {
            let text = text.as_bytes();
            assert_eq!(split(text).concat(), text);
        }
        assert_eq!(split(b"A: 1\n b\n\n\nB: 2\n"), [&b"A: 1\n b\n\n\n"[..], b"B: 2\n"]);
    }

    #[test]
    fn a_mark_is_a_field_and_comes_once() {
        let once = marked(b"Package: a\nVersion: 1\n\n");
        assert_eq!(once, b"Package: a\nVersion: 1\nimmut-Stripped: yes\n\n");
        assert_eq!(marked(&once), once);
        assert_eq!(marked(b"A: 1 \n\n\n"), b"A: 1 \nimmut-Stripped: yes\n\n\n");
        assert_eq!(marked(b"Package: a"), b"Package: a\nimmut-Stripped: yes\n");
    }

    #[test]
    fn fields_are_read_whatever_their_case() {
        let paragraph = b"package:  a \nConffiles:\n /etc/b 12\n /etc/a 34 obsolete\nVersion:\n";
        assert_eq!(text(paragraph, b"Package").as_deref(), Some("a"));
        assert_eq!(text(paragraph, b"Version"), None);
        assert_eq!(conffiles(paragraph), [b"etc/a", b"etc/b"]);
        assert_eq!(conffiles(b"Package: a\n x y\n"), Vec::<&[u8]>::new());
    }
}
