//! ELF files made by hand: a header, segments, dynamic section, strings and symbols.
//!
//! ```
//! use immut_testkit::elf::{Build, RUNPATH};
//! let program = Build::program("/lib64/ld-linux-x86-64.so.2")
//!     .needs("libc.so.6")
//!     .string(RUNPATH, "$ORIGIN/../lib");
//! assert_eq!(program.bytes()[..4], *b"\x7fELF");
//! ```

/// What to make.
#[derive(Debug, Clone)]
pub struct Build {
    /// What it runs on.
    pub machine: Machine,
    /// `e_type`: 2 for `ET_EXEC`, 3 for `ET_DYN`.
    pub kind: u16,
    /// The loader (`PT_INTERP`).
    pub interpreter: Option<&'static str>,
    /// Entries of the dynamic section whose value is a string.
    pub strings: Vec<(u64, &'static str)>,
    /// `DT_FLAGS_1`.
    pub flags: u64,
    /// Names of symbols, and whether each is only imported.
    pub symbols: Vec<(&'static str, bool)>,
    /// Bytes after all else.
    pub tail: Vec<u8>,
}

/// What an ELF file runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Whether it has 64 bits.
    pub wide: bool,
    /// Whether numbers begin with their lowest byte.
    pub little: bool,
    /// `e_machine`.
    pub number: u16,
}

/// x86-64.
pub const AMD64: Machine = Machine { wide: true, little: true, number: 62 };
/// x86 with 32 bits.
pub const I386: Machine = Machine { wide: false, little: true, number: 3 };
/// ARM with 64 bits.
pub const ARM64: Machine = Machine { wide: true, little: true, number: 183 };

/// `DT_NEEDED`.
pub const NEEDED: u64 = 1;
/// `DT_SONAME`.
pub const SONAME: u64 = 14;
/// `DT_RPATH`.
pub const RPATH: u64 = 15;
/// `DT_RUNPATH`.
pub const RUNPATH: u64 = 29;
/// `DT_AUXILIARY`.
pub const AUXILIARY: u64 = 0x7fff_fffd;
/// `DT_FILTER`.
pub const FILTER: u64 = 0x7fff_ffff;

/// Where the file is loaded; not zero, so that addresses and places in the file differ.
const BASE: u64 = 0x40_0000;

impl Build {
    /// A library for x86-64.
    pub fn library(soname: &'static str) -> Self {
        Self {
            machine: AMD64,
            kind: 3,
            interpreter: None,
            strings: vec![(SONAME, soname)],
            flags: 0,
            symbols: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// A program for x86-64 that its loader starts.
    pub fn program(interpreter: &'static str) -> Self {
        let strings = Vec::new();
        Self { interpreter: Some(interpreter), strings, ..Self::library("") }
    }

    /// The same with one more string in the dynamic section.
    #[must_use]
    pub fn string(mut self, tag: u64, text: &'static str) -> Self {
        self.strings.push((tag, text));
        self
    }

    /// The same with one more library that is needed.
    #[must_use]
    pub fn needs(self, name: &'static str) -> Self {
        self.string(NEEDED, name)
    }

    /// The same with one more symbol that it imports.
    #[must_use]
    pub fn imports(mut self, symbol: &'static str) -> Self {
        self.symbols.push((symbol, true));
        self
    }

    /// The same with bytes after all else.
    #[must_use]
    pub fn tail(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { tail: bytes.into(), ..self }
    }

    /// The same for another machine.
    #[must_use]
    pub fn on(self, machine: Machine) -> Self {
        Self { machine, ..self }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let address = if self.machine.wide { 8 } else { 4 };
        let (header, segment) = if self.machine.wide { (64, 56) } else { (52, 32) };
        let segments = 2 + u64::from(self.interpreter.is_some());
        let mut strings = vec![0];
        let mut add = |text: &str| {
            let at = strings.len() as u64;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let named: Vec<(u64, u64)> =
            self.strings.iter().map(|(tag, text)| (*tag, add(text))).collect();
        let symbols: Vec<(u64, bool)> =
            self.symbols.iter().map(|(text, imported)| (add(text), *imported)).collect();
        let symbol_size = if self.machine.wide { 24 } else { 16 };
        let dynamic_at = header + segments * segment;
        let dynamic_len = 2 * address * (named.len() as u64 + 5);
        let symbols_at = dynamic_at + dynamic_len;
        let strings_at = symbols_at + symbol_size * (symbols.len() as u64 + 1);
        let interpreter_at = strings_at + strings.len() as u64;
        let interpreter =
            self.interpreter.map_or(Vec::new(), |text| [text.as_bytes(), &[0]].concat());
        let end = interpreter_at + interpreter.len() as u64;
        let mut out = Out { machine: self.machine, bytes: Vec::new() };
        out.header(self.kind, header, segment, segments);
        out.segment(1, 0, end);
        out.segment(2, dynamic_at, dynamic_len);
        if self.interpreter.is_some() {
            out.segment(3, interpreter_at, interpreter.len() as u64);
        }
        let fixed = [
            (5, BASE + strings_at),
            (6, BASE + symbols_at),
            (10, strings.len() as u64),
            (0x6fff_fffb, self.flags),
            (0, 0),
        ];
        for (tag, value) in named.into_iter().chain(fixed) {
            out.address(tag);
            out.address(value);
        }
        out.bytes.resize(out.bytes.len() + usize::try_from(symbol_size).unwrap(), 0);
        for (name, imported) in symbols {
            out.symbol(name, imported);
        }
        out.bytes.extend(strings);
        out.bytes.extend(interpreter);
        assert_eq!(out.bytes.len() as u64, end);
        out.bytes.extend(&self.tail);
        out.bytes
    }
}

struct Out {
    machine: Machine,
    bytes: Vec<u8>,
}

impl Out {
    fn number(&mut self, value: u64, len: usize) {
        if self.machine.little {
            self.bytes.extend(&value.to_le_bytes()[..len]);
        } else {
            self.bytes.extend(&value.to_be_bytes()[8 - len..]);
        }
    }

    fn address(&mut self, value: u64) {
        self.number(value, if self.machine.wide { 8 } else { 4 });
    }

    fn header(&mut self, kind: u16, header: u64, segment: u64, segments: u64) {
        let class = if self.machine.wide { 2 } else { 1 };
        let order = if self.machine.little { 1 } else { 2 };
        self.bytes.extend(b"\x7fELF");
        self.bytes.extend([class, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.number(kind.into(), 2);
        self.number(self.machine.number.into(), 2);
        self.number(1, 4);
        self.address(0);
        self.address(header);
        self.address(0);
        self.number(0, 4);
        for half in [header, segment, segments, 0, 0, 0] {
            self.number(half, 2);
        }
    }

    fn segment(&mut self, kind: u64, at: u64, len: u64) {
        self.number(kind, 4);
        if self.machine.wide {
            self.number(4, 4);
        }
        for value in [at, BASE + at, BASE + at, len, len] {
            self.address(value);
        }
        if !self.machine.wide {
            self.number(4, 4);
        }
        self.address(1);
    }

    fn symbol(&mut self, name: u64, imported: bool) {
        const GLOBAL_FUNCTION: u64 = 0x12;
        let section = u64::from(!imported);
        self.number(name, 4);
        if self.machine.wide {
            self.number(GLOBAL_FUNCTION, 1);
            self.number(0, 1);
            self.number(section, 2);
            self.number(0, 8);
            self.number(0, 8);
        } else {
            self.number(0, 4);
            self.number(0, 4);
            self.number(GLOBAL_FUNCTION, 1);
            self.number(0, 1);
            self.number(section, 2);
        }
    }
}
