//! Bytes and counts as people read them.

/// Bytes, such as `15 B` or `1.50 MB`.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits after the point")]
pub(crate) fn bytes(bytes: u64) -> String {
    match unit(bytes) {
        Some((size, unit)) => format!("{:.2} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} B"),
    }
}

/// Bytes of a whole, such as `12.3/45.0 MB`: both in the unit of the whole.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
pub(crate) fn bytes_of(done: u64, total: u64) -> String {
    match unit(total) {
        Some((size, unit)) => {
            let in_unit = |bytes: u64| bytes as f64 / size as f64;
            format!("{:.1}/{:.1} {unit}", in_unit(done), in_unit(total))
        }
        None => format!("{done}/{total} B"),
    }
}

/// A count with its thousands apart, such as `12,345`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The largest unit that fits in that many bytes; none below the smallest.
fn unit(bytes: u64) -> Option<(u64, &'static str)> {
    UNITS.into_iter().find(|(size, _)| bytes >= *size)
}

const UNITS: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "EB"),
    (1_000_000_000_000_000, "PB"),
    (1_000_000_000_000, "TB"),
    (1_000_000_000, "GB"),
    (1_000_000, "MB"),
    (1000, "kB"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_largest_unit_that_fits() {
        for (amount, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (1_005_000, "1.00 MB"),
            (45_678_901, "45.68 MB"),
            (999_999_999, "1000.00 MB"),
            (1_500_000_000_000, "1.50 TB"),
            (u64::MAX, "18.45 EB"),
        ] {
            assert_eq!(bytes(amount), shown);
        }
    }

    #[test]
    fn a_part_is_shown_in_the_unit_of_the_whole() {
        assert_eq!(bytes_of(7, 999), "7/999 B");
        assert_eq!(bytes_of(12_345, 45_000_000), "0.0/45.0 MB");
        assert_eq!(bytes_of(12_345_678, 45_000_000), "12.3/45.0 MB");
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(count(number), shown);
        }
    }
}
