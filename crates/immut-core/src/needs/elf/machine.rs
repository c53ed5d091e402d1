//! What an ELF file runs on: [`Machine`].

use std::fmt;

/// Class, byte order and machine of an ELF file. A loader takes only files that agree with its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    /// Whether addresses have 64 bits (`ELFCLASS64`), else 32.
    pub(crate) wide: bool,
    /// Whether numbers begin with their lowest byte (`ELFDATA2LSB`).
    pub(crate) little: bool,
    /// `e_machine`.
    pub(crate) number: u16,
}

/// What is known of a machine in one class and byte order.
struct Known {
    machine: Machine,
    /// Its name as people know it.
    name: &'static str,
    /// The architecture of OCI image configs (Go's `GOARCH`); none if Go has no name for it.
    architecture: Option<&'static str>,
    /// The name of its folders in Debian (`/usr/lib/x86_64-linux-gnu`).
    triplet: Option<&'static str>,
    /// Its name in musl's files (`ld-musl-NAME.so.1`).
    musl: Option<&'static str>,
    /// What `$PLATFORM` usually stands for; none if that differs from processor to processor.
    platform: Option<&'static str>,
    /// The flags of its entries in `ld.so.cache` (glibc, `sysdeps/generic/ldconfig.h`), the best
    /// first: several where ABIs differ by the floating point unit.
    cache: &'static [u32],
}

const LIBC6: u32 = 3;
const KNOWN: [Known; 16] = [
    Known {
        machine: Machine { wide: true, little: true, number: 62 },
        name: "x86-64",
        triplet: Some("x86_64-linux-gnu"),
        architecture: Some("amd64"),
        musl: Some("x86_64"),
        platform: None,
        cache: &[0x0303],
    },
    Known {
        machine: Machine { wide: false, little: true, number: 62 },
        name: "x32",
        triplet: Some("x86_64-linux-gnux32"),
        architecture: None,
        musl: Some("x32"),
        platform: None,
        cache: &[0x0803],
    },
    Known {
        machine: Machine { wide: false, little: true, number: 3 },
        name: "x86",
        triplet: Some("i386-linux-gnu"),
        architecture: Some("386"),
        musl: Some("i386"),
        platform: None,
        cache: &[LIBC6],
    },
    Known {
        machine: Machine { wide: true, little: true, number: 183 },
        name: "AArch64",
        triplet: Some("aarch64-linux-gnu"),
        architecture: Some("arm64"),
        musl: Some("aarch64"),
        platform: Some("aarch64"),
        cache: &[0x0a03],
    },
    Known {
        machine: Machine { wide: false, little: true, number: 40 },
        name: "ARM",
        triplet: Some("arm-linux-gnueabihf"),
        architecture: Some("arm"),
        musl: Some("armhf"),
        platform: None,
        cache: &[0x0903, 0x0b03, LIBC6],
    },
    Known {
        machine: Machine { wide: true, little: true, number: 21 },
        name: "PowerPC64 (little-endian)",
        triplet: Some("powerpc64le-linux-gnu"),
        architecture: Some("ppc64le"),
        musl: Some("powerpc64le"),
        platform: None,
        cache: &[0x0503],
    },
    Known {
        machine: Machine { wide: true, little: false, number: 21 },
        name: "PowerPC64",
        triplet: Some("powerpc64-linux-gnu"),
        architecture: Some("ppc64"),
        musl: Some("powerpc64"),
        platform: None,
        cache: &[0x0503],
    },
    Known {
        machine: Machine { wide: true, little: false, number: 22 },
        name: "S/390",
        triplet: Some("s390x-linux-gnu"),
        architecture: Some("s390x"),
        musl: Some("s390x"),
        platform: None,
        cache: &[0x0403],
    },
    Known {
        machine: Machine { wide: true, little: true, number: 243 },
        name: "RISC-V (64 bits)",
        triplet: Some("riscv64-linux-gnu"),
        architecture: Some("riscv64"),
        musl: Some("riscv64"),
        platform: None,
        cache: &[0x1003, 0x0f03],
    },
    Known {
        machine: Machine { wide: true, little: true, number: 8 },
        name: "MIPS64 (little-endian)",
        triplet: Some("mips64el-linux-gnuabi64"),
        architecture: Some("mips64le"),
        musl: Some("mips64el"),
        platform: None,
        cache: &[0x0703, 0x0e03],
    },
    Known {
        machine: Machine { wide: true, little: false, number: 8 },
        name: "MIPS64",
        triplet: Some("mips64-linux-gnuabi64"),
        architecture: Some("mips64"),
        musl: Some("mips64"),
        platform: None,
        cache: &[0x0703, 0x0e03],
    },
    // `mipsle` and `mips` also stand for N32, whose cache flags differ.
    Known {
        machine: Machine { wide: false, little: true, number: 8 },
        name: "MIPS (little-endian)",
        triplet: Some("mipsel-linux-gnu"),
        architecture: Some("mipsle"),
        musl: Some("mipsel"),
        platform: None,
        cache: &[LIBC6, 0x0c03, 0x0603, 0x0d03],
    },
    Known {
        machine: Machine { wide: false, little: false, number: 8 },
        name: "MIPS",
        triplet: Some("mips-linux-gnu"),
        architecture: Some("mips"),
        musl: Some("mips"),
        platform: None,
        cache: &[LIBC6, 0x0c03, 0x0603, 0x0d03],
    },
    Known {
        machine: Machine { wide: true, little: true, number: 258 },
        name: "LoongArch64",
        triplet: Some("loongarch64-linux-gnu"),
        architecture: Some("loong64"),
        musl: Some("loongarch64"),
        platform: None,
        cache: &[0x1203, 0x1103],
    },
    Known {
        machine: Machine { wide: false, little: false, number: 20 },
        name: "PowerPC",
        triplet: Some("powerpc-linux-gnu"),
        architecture: None,
        musl: Some("powerpc"),
        platform: None,
        cache: &[LIBC6],
    },
    Known {
        machine: Machine { wide: false, little: true, number: 243 },
        name: "RISC-V (32 bits)",
        triplet: None,
        architecture: None,
        musl: Some("riscv32"),
        platform: None,
        cache: &[0x1003, 0x0f03],
    },
];

impl Machine {
    /// The architecture that an OCI image config names (`amd64`); none if there is no name for it.
    pub(crate) fn architecture(self) -> Option<&'static str> {
        self.known()?.architecture
    }

    /// The name of its folders in Debian, such as `x86_64-linux-gnu`.
    pub(crate) fn triplet(self) -> Option<&'static str> {
        self.known()?.triplet
    }

    /// Its name in the file names of musl, such as `x86_64`.
    pub(crate) fn musl_name(self) -> Option<&'static str> {
        self.known()?.musl
    }

    /// What `$PLATFORM` in a run path stands for, where all its processors agree.
    pub(crate) fn platform(self) -> Option<&'static str> {
        self.known()?.platform
    }

    /// The flags of the entries of `ld.so.cache` that its loader takes, the best first; none if the
    /// machine is not known.
    pub(crate) fn cache_flags(self) -> Option<&'static [u32]> {
        Some(self.known()?.cache)
    }

    fn known(self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.machine == self)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(known) => f.write_str(known.name),
            None => write!(
                f,
                "machine {} ({} bits, {}-endian)",
                self.number,
                if self.wide { 64 } else { 32 },
                if self.little { "little" } else { "big" },
            ),
        }
    }
}
