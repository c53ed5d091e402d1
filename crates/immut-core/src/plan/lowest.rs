//! [`Lowest`]: which layers hide something of others, for whole trees at once.

use crate::path::RootPath;

/// For each name the lowest layer that has it.
///
/// Nested opaque directories ask for the same names again and again, so the answer for a tree is
/// made of minima of ranges: a question costs the logarithm of the number of names.
pub(super) struct Lowest<'a> {
    /// Sorted, so that what lies beneath a directory is a range.
    names: Vec<&'a RootPath>,
    /// A segment tree: the layers of the names in its second half, and above each pair its minimum.
    minima: Vec<u32>,
}

impl<'a> Lowest<'a> {
    /// Of names with their layers, lowest layer first.
    pub(super) fn new(names: impl Iterator<Item = (&'a RootPath, u32)>) -> Self {
        let mut names: Vec<(&RootPath, u32)> = names.collect();
        names.sort_by_key(|(path, _)| *path);
        names.dedup_by_key(|(path, _)| *path);
        let count = names.len();
        let mut minima = vec![u32::MAX; 2 * count];
        for (place, (_, layer)) in names.iter().enumerate() {
            minima[count + place] = *layer;
        }
        for place in (1..count).rev() {
            minima[place] = minima[2 * place].min(minima[2 * place + 1]);
        }
        Self { names: names.into_iter().map(|(path, _)| path).collect(), minima }
    }

    /// The lowest layer that has the name.
    pub(super) fn at(&self, path: &RootPath) -> Option<u32> {
        let place = self.names.binary_search(&path).ok()?;
        Some(self.minima[self.names.len() + place])
    }

    /// The lowest layer that has something beneath the directory.
    pub(super) fn beneath(&self, directory: &RootPath) -> Option<u32> {
        let place = |end: u8| {
            let bound = [directory.as_bytes(), &[end]].concat();
            self.names.partition_point(|name| name.as_bytes() < bound.as_slice())
        };
        let count = self.names.len();
        let (mut from, mut to) = if directory.is_root() {
            (self.names.partition_point(|name| name.is_root()), count)
        } else {
            (place(b'/'), place(b'/' + 1))
        };
        let mut lowest = None;
        let mut see = |place: usize| {
            let layer = self.minima[place];
            lowest = Some(lowest.map_or(layer, |lowest: u32| lowest.min(layer)));
        };
        (from, to) = (from + count, to + count);
        while from < to {
            if from % 2 == 1 {
                see(from);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                see(to);
            }
            (from, to) = (from / 2, to / 2);
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootPath {
        text.parse().expect("a path")
    }

    #[test]
    fn answers_are_those_of_a_search() {
        let names = ["", "a", "a/b", "a/b/c", "a.b", "a0", "b/c/d", "b/c", "b/cc", "c", "a/b/d"];
        let names: Vec<(RootPath, u32)> = names
            .iter()
            .zip([7, 3, 2, 9, 0, 1, 5, 6, 4, 8, 2])
            .map(|(name, n)| (path(name), n))
            .collect();
        for count in 0..=names.len() {
            let some = &names[..count];
            let lowest = Lowest::new(some.iter().map(|(path, layer)| (path, *layer)));
            for (asked, _) in &names {
                let least = |holds: &dyn Fn(&RootPath) -> bool| {
                    some.iter().filter(|(path, _)| holds(path)).map(|(_, layer)| *layer).min()
                };
                assert_eq!(lowest.at(asked), least(&|path| path == asked), "{asked} of {count}");
                let beneath = least(&|path| path.is_beneath(asked));
                assert_eq!(lowest.beneath(asked), beneath, "beneath {asked} of {count}");
            }
        }
    }

    #[test]
    fn the_first_layer_of_a_name_counts() {
        let name = path("a/b");
        let lowest = Lowest::new([(&name, 1), (&name, 2)].into_iter());
        assert_eq!((lowest.at(&name), lowest.beneath(&path("a"))), (Some(1), Some(1)));
    }
}
