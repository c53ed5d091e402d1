//! Reads an ELF file (System V ABI, chapters 4 and 5; the Linux Standard Base for GNU's tags).

use std::io::{Read, Seek};

use super::imports;
use super::layout::{Header, IDENT, Layout, Segment};
use super::source::Source;
use super::{Elf, Error, Kind};

/// Bytes of program headers: the kernel takes no more either.
const MOST_SEGMENT_BYTES: usize = 64 * 1024;
/// Bytes of a dynamic section. Real ones have a few KiB.
const MOST_DYNAMIC_BYTES: u64 = 1024 * 1024;
/// Names of one kind in a dynamic section. Real files need a few hundred libraries at most.
const MOST_NAMES: usize = 4096;
/// Bytes of a string. Run paths of a package store can be several KiB.
const LONGEST_STRING: u64 = 64 * 1024;
/// Symbols looked at. The largest runtimes have about 100,000.
const MOST_SYMBOLS: u64 = 1 << 18;
/// Bytes of a loader in which its default folders are sought. glibc's has about 250 KiB.
const LOADER_BYTES: u64 = 4 * 1024 * 1024;

/// Types of segments.
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// Tags of the dynamic section.
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
const DF_1_NODEFLIB: u64 = 0x800;
const DF_1_PIE: u64 = 0x0800_0000;
/// Tags whose value is the address of a table: hash, strings, symbols, relocations, versions.
const TABLES: [u64; 13] = [
    3,
    4,
    DT_STRTAB,
    DT_SYMTAB,
    7,
    17,
    23,
    25,
    26,
    0x6fff_fef5,
    0x6fff_fff0,
    0x6fff_fffc,
    0x6fff_fffe,
];

pub(super) fn read(file: impl Read + Seek) -> Result<Elf, Error> {
    let mut source = Source::new(file)?;
    let (layout, header) = header(&mut source)?;
    let segments = segments(&mut source, layout, &header)?;
    let mut file = File { source, layout, segments, dynamic: Vec::new() };
    file.dynamic = file.read_dynamic()?;
    let interpreter = file.interpreter()?;
    let soname = file.string(DT_SONAME)?;
    let flags = file.value(DT_FLAGS_1).unwrap_or(0);
    Ok(Elf {
        machine: header.machine,
        kind: kind(&header, flags, interpreter.is_some() && soname.is_none()),
        interpreter,
        needed: file.strings(DT_NEEDED)?,
        rpath: file.string(DT_RPATH)?,
        runpath: file.string(DT_RUNPATH)?,
        no_default_folders: flags & DF_1_NODEFLIB != 0,
        auxiliary: file.strings(DT_AUXILIARY)?,
        filter: file.strings(DT_FILTER)?,
        shell_calls: file.shell_calls()?,
        default_folders: match &soname {
            Some(soname) if is_loader(soname) => file.default_folders()?,
            _ => Vec::new(),
        },
        soname,
    })
}

fn header<R: Read + Seek>(source: &mut Source<R>) -> Result<(Layout, Header), Error> {
    let start = source.bytes(0, IDENT.min(usize::try_from(source.size()).unwrap_or(IDENT)), "")?;
    if !start.starts_with(b"\x7fELF") {
        return Err(Error::NotElf);
    }
    let ident = source.bytes(0, IDENT, "the end of its header")?;
    let wide = match ident[4] {
        1 => false,
        2 => true,
        _ => return Err(Error::Malformed("neither of 32 nor of 64 bits")),
    };
    let little = match ident[5] {
        1 => true,
        2 => false,
        _ => return Err(Error::Malformed("neither little-endian nor big-endian")),
    };
    let layout = Layout { wide, little };
    let bytes = source.bytes(0, layout.header_size(), "the end of its header")?;
    Ok((layout, layout.header(&bytes)))
}

fn segments<R: Read + Seek>(
    source: &mut Source<R>,
    layout: Layout,
    header: &Header,
) -> Result<Vec<Segment>, Error> {
    if header.segment_count == 0 {
        return Ok(Vec::new());
    }
    let size = layout.segment_size();
    if header.segment_size != size {
        return Err(Error::Malformed("its program headers have a size that no loader takes"));
    }
    let len = header.segment_count * size;
    if len > MOST_SEGMENT_BYTES {
        return Err(Error::TooLarge("bytes of program headers", len as u64));
    }
    let bytes = source.bytes(header.segments, len, "its program headers")?;
    Ok(bytes.chunks_exact(size).map(|bytes| layout.segment(bytes)).collect())
}

fn kind(header: &Header, flags: u64, starts_as_programs_do: bool) -> Kind {
    const ET_EXEC: u16 = 2;
    const ET_DYN: u16 = 3;
    match header.kind {
        ET_EXEC => Kind::Executable,
        ET_DYN if flags & DF_1_PIE != 0 || starts_as_programs_do => Kind::PositionIndependent,
        ET_DYN => Kind::Shared,
        _ => Kind::Other,
    }
}

/// Whether a soname is that of a loader of glibc.
fn is_loader(soname: &[u8]) -> bool {
    [&b"ld-linux"[..], b"ld64.so", b"ld.so"].iter().any(|start| soname.starts_with(start))
}

struct File<R> {
    source: Source<R>,
    layout: Layout,
    segments: Vec<Segment>,
    /// Tags and values of the dynamic section.
    dynamic: Vec<(u64, u64)>,
}

impl<R: Read + Seek> File<R> {
    fn interpreter(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(segment) = self.segments.iter().find(|segment| segment.kind == PT_INTERP) else {
            return Ok(None);
        };
        // The kernel refuses one of more than PATH_MAX bytes.
        let len = match usize::try_from(segment.size) {
            Ok(len) if len <= crate::path::MAX_LEN => len,
            _ => return Err(Error::TooLarge("bytes of the loader's name", segment.size)),
        };
        let bytes = self.source.bytes(segment.offset, len, "the name of its loader")?;
        Ok(Some(until_zero(&bytes).to_vec()))
    }

    fn read_dynamic(&mut self) -> Result<Vec<(u64, u64)>, Error> {
        let Some(segment) = self.segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Ok(Vec::new());
        };
        let len = match usize::try_from(segment.size) {
            Ok(len) if segment.size <= MOST_DYNAMIC_BYTES => len,
            _ => return Err(Error::TooLarge("bytes of the dynamic section", segment.size)),
        };
        let bytes = self.source.bytes(segment.offset, len, "its dynamic section")?;
        let entries = bytes.chunks_exact(self.layout.dynamic_size());
        let entries = entries.map(|bytes| self.layout.dynamic(bytes));
        Ok(entries.take_while(|(tag, _)| *tag != DT_NULL).collect())
    }

    /// The value of a tag: the last one counts, as loaders have it.
    fn value(&self, tag: u64) -> Option<u64> {
        self.dynamic.iter().rfind(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    fn string(&mut self, tag: u64) -> Result<Option<Vec<u8>>, Error> {
        self.value(tag).map(|at| self.string_at(at)).transpose()
    }

    fn strings(&mut self, tag: u64) -> Result<Vec<Vec<u8>>, Error> {
        let entries = self.dynamic.iter().filter(|entry| entry.0 == tag);
        let places: Vec<u64> = entries.map(|entry| entry.1).collect();
        if places.len() > MOST_NAMES {
            return Err(Error::TooLarge("names of libraries", places.len() as u64));
        }
        places.into_iter().map(|at| self.string_at(at)).collect()
    }

    fn string_at(&mut self, at: u64) -> Result<Vec<u8>, Error> {
        const WHAT: &str = "a string of its dynamic section";
        /// Bytes read at once: names are short.
        const STRIDE: u64 = 256;
        let (start, size) = self.string_table()?;
        let rest = size.checked_sub(at).ok_or(Error::Truncated(WHAT))?;
        let mut string = Vec::new();
        while (string.len() as u64) < rest.min(LONGEST_STRING) {
            let done = string.len() as u64;
            let stride = STRIDE.min(rest - done);
            let bytes =
                self.source.bytes(start + at + done, usize::try_from(stride).unwrap_or(0), WHAT)?;
            let part = until_zero(&bytes);
            string.extend_from_slice(part);
            if part.len() < bytes.len() {
                return Ok(string);
            }
        }
        Err(Error::Malformed("a string of its dynamic section has no end"))
    }

    /// Where the string table is in the file, and its bytes; never past the file's end.
    fn string_table(&self) -> Result<(u64, u64), Error> {
        let missing = Error::Malformed("its dynamic section has no string table");
        let address = self.value(DT_STRTAB).ok_or(missing)?;
        let (start, rest) =
            self.place(address).ok_or(Error::Malformed("its string table is in no segment"))?;
        let size = self.value(DT_STRSZ).unwrap_or(rest).min(rest);
        Ok((start, size.min(self.source.size().saturating_sub(start))))
    }

    /// The functions that it imports, of those that are sought.
    fn shell_calls(&mut self) -> Result<Vec<&'static str>, Error> {
        let Some(address) = self.value(DT_SYMTAB) else { return Ok(Vec::new()) };
        let (start, rest) =
            self.place(address).ok_or(Error::Malformed("its symbol table is in no segment"))?;
        let (strings, strings_size) = self.string_table()?;
        let size = self.layout.symbol_size();
        let mut calls = Vec::new();
        let count = self.symbol_count(address, rest.min(self.source.size().saturating_sub(start)));
        for index in 0..count {
            let bytes = self.source.bytes(start + index * size as u64, size, "its symbols")?;
            let symbol = self.layout.symbol(&bytes);
            if !symbol.imported || symbol.name >= strings_size {
                continue;
            }
            let len = (strings_size - symbol.name).min(imports::LONGEST as u64);
            let len = usize::try_from(len).unwrap_or(0);
            let name = self.source.bytes(strings + symbol.name, len, "the name of a symbol")?;
            calls.extend(imports::sought(until_zero(&name)));
        }
        calls.sort_unstable();
        calls.dedup();
        Ok(calls)
    }

    /// How many symbols there are. The dynamic section does not say; they end where the next table
    /// begins. What lies between are zeros, which import nothing.
    fn symbol_count(&self, address: u64, rest: u64) -> u64 {
        let tables = self.dynamic.iter().filter(|(tag, _)| TABLES.contains(tag));
        let next = tables.map(|entry| entry.1).filter(|table| *table > address).min();
        let len = next.map_or(rest, |next| (next - address).min(rest));
        (len / self.layout.symbol_size() as u64).min(MOST_SYMBOLS)
    }

    /// Where an address is in the file, and how many bytes its segment has from there.
    fn place(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().filter(|segment| segment.kind == PT_LOAD).find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            let rest = segment.size.checked_sub(within).filter(|rest| *rest > 0)?;
            let start = segment.offset.checked_add(within)?;
            start.checked_add(rest)?;
            Some((start, rest))
        })
    }

    /// The default folders compiled into a loader of glibc: its longest run of strings that are
    /// absolute, end with a slash and have a component that begins with `lib`.
    fn default_folders(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let len = usize::try_from(self.source.size().min(LOADER_BYTES)).unwrap_or(0);
        let bytes = self.source.bytes(0, len, "its end")?;
        let mut longest: Vec<&[u8]> = Vec::new();
        let mut run: Vec<&[u8]> = Vec::new();
        for string in bytes.split(|byte| *byte == 0) {
            match folder(string) {
                Some(folder) => run.push(folder),
                None => run.clear(),
            }
            if run.len() > longest.len() {
                longest.clone_from(&run);
            }
        }
        Ok(longest.into_iter().map(<[u8]>::to_vec).collect())
    }
}

/// The folder of libraries that is the printable end of some bytes.
fn folder(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.last() != Some(&b'/') {
        return None;
    }
    let start = bytes.iter().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |at| at + 1);
    let text = &bytes[start..];
    let library = text.split(|byte| *byte == b'/').any(|part| part.starts_with(b"lib"));
    (text.starts_with(b"/") && library && text.len() <= crate::path::MAX_LEN).then_some(text)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}
