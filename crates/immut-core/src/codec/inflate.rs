//! Raw deflate streams (RFC 1951) that tell where their blocks end.
//!
//! The one module with `unsafe`: zlib says at which bit a block has ended in a field of its stream
//! (`inflate()` with `Z_BLOCK`, zlib 1.2.2.1 and later), and no safe interface hands that on.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;

use libz_rs_sys as z;

/// Decodes one raw deflate stream.
pub(super) struct Inflate {
    /// Never moved: zlib's state points back to it.
    stream: Box<z::z_stream>,
}

/// What one call has done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoded {
    /// Bytes of input.
    pub(super) read: usize,
    /// Bytes of output.
    pub(super) written: usize,
    /// Where the stream is now.
    pub(super) at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// In a block.
    Inside,
    /// Right after a block.
    Boundary {
        /// Bits of the input read so far that are not used yet.
        unused: u64,
        /// Whether the block was the last one.
        last: bool,
    },
}

// SAFETY: the stream owns its state, points at nothing of another thread, and input and output are
// only pointed at during a call.
unsafe impl Send for Inflate {}

impl Inflate {
    pub(super) fn new() -> Self {
        let mut stream = Box::new(z::z_stream::default());
        // SAFETY: a default stream has no allocator, so zlib uses its own; version and size are
        // those of the struct that is linked.
        let done = unsafe {
            z::inflateInit2_(
                &raw mut *stream,
                -15,
                z::zlibVersion(),
                size_of::<z::z_stream>() as c_int,
            )
        };
        assert_eq!(done, z::Z_OK, "a raw stream with a window of 32 KiB can be decoded");
        Self { stream }
    }

    /// Gets ready for another stream.
    pub(super) fn reset(&mut self) {
        // SAFETY: the stream was initialized.
        let done = unsafe { z::inflateReset(&raw mut *self.stream) };
        assert_eq!(done, z::Z_OK, "an initialized stream can be reset");
    }

    /// Decodes until the input is used up, the output is full, or a block ends; it ends there even
    /// if there is more of both.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Decoded> {
        /// More than this is given in several calls: zlib counts with 32 bits.
        const MOST: usize = 1 << 30;
        let (input, room) = (&input[..input.len().min(MOST)], output.len().min(MOST));
        let stream = &mut *self.stream;
        stream.next_in = input.as_ptr().cast_mut();
        stream.avail_in = input.len() as u32;
        stream.next_out = output.as_mut_ptr();
        stream.avail_out = room as u32;
        // SAFETY: the stream was initialized; `next_in` and `next_out` point at as many bytes as
        // `avail_in` and `avail_out` say, which live until the call is over; zlib only reads input.
        let done = unsafe { z::inflate(stream, z::Z_BLOCK) };
        let read = input.len() - stream.avail_in as usize;
        let written = room - stream.avail_out as usize;
        (stream.next_in, stream.avail_in) = (std::ptr::null_mut(), 0);
        (stream.next_out, stream.avail_out) = (std::ptr::null_mut(), 0);
        let state = stream.data_type;
        let at = match done {
            // `data_type`: 128 right after a block, 64 in or after the last, and unused bits.
            z::Z_OK | z::Z_BUF_ERROR if state & 128 == 0 => At::Inside,
            z::Z_OK | z::Z_BUF_ERROR => {
                At::Boundary { unused: (state & 63) as u64, last: state & 64 != 0 }
            }
            z::Z_STREAM_END => At::Boundary { unused: (state & 63) as u64, last: true },
            _ => return Err(super::broken(self.reason())),
        };
        Ok(Decoded { read, written, at })
    }

    fn reason(&self) -> String {
        let message = self.stream.msg;
        if message.is_null() {
            return "corrupt deflate stream".to_owned();
        }
        // SAFETY: zlib's messages are constants that end with a NUL.
        let text = unsafe { std::ffi::CStr::from_ptr(message) };
        format!("corrupt deflate stream: {}", text.to_string_lossy())
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: the stream was initialized and is not used again.
        unsafe { z::inflateEnd(&raw mut *self.stream) };
    }
}
