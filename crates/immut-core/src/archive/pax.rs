//! PAX records (POSIX.1-2017, pax, "Extended Header Keyword/Value Pairs"), binary-safe.

/// The records of one extended header, in order. Values may hold any byte, newlines and NULs too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax(Vec<(Vec<u8>, Vec<u8>)>);

impl Pax {
    /// Reads records `LENGTH KEY=VALUE\n`; none if they are malformed.
    pub(crate) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            let record = bytes.get(space + 1..length)?;
            let (b'\n', record) = record.split_last()? else { return None };
            let equals = record.iter().position(|byte| *byte == b'=')?;
            if equals == 0 || record[..equals].contains(&0) {
                return None;
            }
            records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            bytes = &bytes[length..];
        }
        Some(Self(records))
    }

    /// The records as an extended header's content.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            let rest = key.len() + value.len() + 3;
            // The length counts its own digits.
            let mut length = rest + digits(rest);
            length = rest + digits(length);
            bytes.extend_from_slice(length.to_string().as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(key);
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes
    }

    /// The value of a key; the last record counts, and an empty one takes it back.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, value) = self.0.iter().rev().find(|(name, _)| name == key)?;
        (!value.is_empty()).then_some(value)
    }

    /// The records as they stand.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|(key, _)| key.as_slice())
    }

    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) {
        self.remove(|name| name == key);
        self.0.push((key.to_vec(), value.to_vec()));
    }

    pub(crate) fn remove(&mut self, which: impl Fn(&[u8]) -> bool) {
        self.0.retain(|(key, _)| !which(key));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Pax {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(records: I) -> Self {
        Self(records.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    }
}

/// A number of a record; none if it is none, negative, or more than 63 bits hold.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    i64::try_from(number).is_ok().then_some(number)
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_newlines_and_nuls_survive() {
        let bytes = b"30 SCHILY.xattr.user.x=a\nb\0=c\n12 path=abc\n";
        let pax = Pax::parse(bytes).expect("records");
        assert_eq!(pax.get(b"SCHILY.xattr.user.x"), Some(&b"a\nb\0=c"[..]));
        assert_eq!(pax.get(b"path"), Some(&b"abc"[..]));
        assert_eq!(pax.to_bytes(), bytes);
    }

    #[test]
    fn lengths_count_their_own_digits() {
        for size in [1, 84, 85, 86, 90, 985, 990, 999] {
            let mut pax = Pax::default();
            pax.set(b"path", &vec![b'x'; size]);
            assert_eq!(Pax::parse(&pax.to_bytes()), Some(pax), "{size}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"5 a=b\n"[..],
            b"6 a=b\nx",
            b"x a=b\n",
            b"6 ab\n\n",
            b"99 a=b\n",
            b"5 =b\n",
            b"0 \n",
            b"7 a\0=b\n",
        ] {
            assert_eq!(Pax::parse(bytes), None, "{bytes:?}");
        }
    }
}
