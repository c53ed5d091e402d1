//! Who a container runs as: `/etc/passwd` and `/etc/group` of the image, and a config's `User`.

use std::fmt;
use std::str::FromStr;

use crate::inventory::Inventory;
use crate::path::RootPath;

/// A numeric user, with a group where one is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserId {
    /// The user.
    pub uid: u32,
    /// The group; without one the engine looks it up, with its supplementary groups.
    pub gid: Option<u32>,
}

/// What immut sets where an image runs as root: distroless's `nonroot`.
pub const NONROOT: UserId = UserId { uid: 65532, gid: Some(65532) };

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uid)?;
        self.gid.iter().try_for_each(|gid| write!(f, ":{gid}"))
    }
}

impl FromStr for UserId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not UID or UID:GID in numbers");
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(number(gid).ok_or_else(bad)?)),
            None => (text, None),
        };
        Ok(Self { uid: number(uid).ok_or_else(bad)?, gid })
    }
}

/// What a config's `User` means in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Root by any spelling: empty, `0`, `root`, another name of uid 0.
    Root,
    /// Numbers that are not root's.
    Numeric(UserId),
    /// A name that `/etc/passwd` knows; what it means in numbers.
    Named(UserId),
    /// A name that it does not know: no engine could start it.
    Unknown,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
    /// Its login shell.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The group's number.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// The accounts of an image.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    passwd: Option<Vec<Account>>,
    groups: Vec<Group>,
}

impl Accounts {
    /// Reads `/etc/passwd` and `/etc/group` of the merged view; lines that are none are passed over,
    /// as the engines do.
    pub fn of(inventory: &Inventory) -> Self {
        let lines = |path: &str| {
            let path: RootPath = path.parse().ok()?;
            inventory.text(&path).map(|text| String::from_utf8_lossy(text).into_owned())
        };
        Self::parse(lines("/etc/passwd").as_deref(), lines("/etc/group").as_deref())
    }

    /// Reads the two files' texts, of which an image may lack either.
    pub fn parse(passwd: Option<&str>, group: Option<&str>) -> Self {
        Self {
            passwd: passwd.map(|text| text.lines().filter_map(account).collect()),
            groups: group.unwrap_or("").lines().filter_map(group_line).collect(),
        }
    }

    /// Whether the image has `/etc/passwd` at all.
    pub fn has_passwd(&self) -> bool {
        self.passwd.is_some()
    }

    /// The first account with that number.
    pub fn by_uid(&self, uid: u32) -> Option<&Account> {
        self.accounts().iter().find(|account| account.uid == uid)
    }

    /// The first account with that name.
    pub fn by_name(&self, name: &str) -> Option<&Account> {
        self.accounts().iter().find(|account| account.name == name)
    }

    /// The accounts, in order.
    pub fn accounts(&self) -> &[Account] {
        self.passwd.as_deref().unwrap_or_default()
    }

    /// The groups, in order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What a config's `User` (`user`, `uid`, `user:group`, ...) means here.
    pub fn kind(&self, written: &str) -> Kind {
        let (user, group) = match written.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (written, None),
        };
        let by_number = number(user);
        let account = self.by_name(user);
        let Some(uid) = account.map(|account| account.uid).or(by_number) else {
            return if matches!(user, "" | "root") { Kind::Root } else { Kind::Unknown };
        };
        if uid == 0 || user.is_empty() {
            return Kind::Root;
        }
        let gid = match group.filter(|group| !group.is_empty()) {
            None => None,
            Some(group) => match self.group(group) {
                Some(gid) => Some(gid),
                None => return Kind::Unknown,
            },
        };
        let numeric = by_number.is_some() && group.is_none_or(|group| number(group).is_some());
        let id = UserId { uid, gid };
        if numeric { Kind::Numeric(id) } else { Kind::Named(id) }
    }

    /// All groups that a user is in when a container starts as it.
    pub fn groups_of(&self, user: UserId) -> Vec<u32> {
        let account = self.by_uid(user.uid);
        match (user.gid, account) {
            (Some(gid), _) => vec![gid],
            (None, None) => vec![0],
            (None, Some(account)) => {
                let member = |group: &&Group| group.members.contains(&account.name);
                let further = self.groups.iter().filter(member).map(|group| group.gid);
                std::iter::once(account.gid).chain(further).collect()
            }
        }
    }

    /// User and group of what a user owns: its own group where none is named.
    pub fn owner_of(&self, user: UserId) -> (u32, u32) {
        let own = || self.by_uid(user.uid).map_or(user.uid, |account| account.gid);
        (user.uid, user.gid.unwrap_or_else(own))
    }

    fn group(&self, written: &str) -> Option<u32> {
        let named = self.groups.iter().find(|group| group.name == written);
        named.map(|group| group.gid).or_else(|| number(written))
    }
}

fn account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let (name, _password) = (fields.next()?, fields.next()?);
    let (uid, gid) = (number(fields.next()?)?, number(fields.next()?)?);
    let _comment = fields.next();
    let (home, shell) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
    Some(Account { name: name.into(), uid, gid, home: home.into(), shell: shell.into() })
}

fn group_line(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let (name, _password, gid) = (fields.next()?, fields.next()?, number(fields.next()?)?);
    let members = fields.next().unwrap_or("").split(',').filter(|name| !name.is_empty());
    Some(Group { name: name.into(), gid, members: members.map(str::to_owned).collect() })
}

/// Digits only. Some engines read signs too, so a signed zero is root and no other signed number
/// is anybody.
fn number(text: &str) -> Option<u32> {
    if text.strip_prefix(['+', '-']).is_some_and(|rest| number(rest) == Some(0)) {
        return Some(0);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            Some(
                "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nredis:x:999:998::/r:/bin/sh\n7up:x:7:7::/:\n\nbroken",
            ),
            Some("root:x:0:\nredis:x:998:\ndisk:x:6:redis,other\n"),
        )
    }

    #[test]
    fn root_has_many_names() {
        for written in
            ["", "0", "00", "root", "toor", "0:0", "root:redis", "0:998", ":5", "+0", "-0"]
        {
            assert_eq!(accounts().kind(written), Kind::Root, "{written:?}");
        }
        assert_eq!(Accounts::default().kind("root"), Kind::Root);
    }

    #[test]
    fn names_become_numbers_and_a_group_only_where_one_is_named() {
        let id = |uid, gid| UserId { uid, gid };
        assert_eq!(accounts().kind("redis"), Kind::Named(id(999, None)));
        assert_eq!(accounts().kind("redis:disk"), Kind::Named(id(999, Some(6))));
        assert_eq!(accounts().kind("999:redis"), Kind::Named(id(999, Some(998))));
        assert_eq!(accounts().kind("1000"), Kind::Numeric(id(1000, None)));
        assert_eq!(accounts().kind("1000:0"), Kind::Numeric(id(1000, Some(0))));
        for unknown in ["nobody", "redis:nogroup", "+1", "-1", "4294967296"] {
            assert_eq!(accounts().kind(unknown), Kind::Unknown, "{unknown}");
        }
    }

    #[test]
    fn a_group_drops_the_supplementary_ones() {
        assert_eq!(accounts().groups_of(UserId { uid: 999, gid: None }), [998, 6]);
        assert_eq!(accounts().groups_of(UserId { uid: 999, gid: Some(5) }), [5]);
        assert_eq!(accounts().groups_of(UserId { uid: 5, gid: None }), [0]);
    }
}
