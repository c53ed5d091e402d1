use super::*;

/// An archive by Python-like means: the `tar` crate writes it, ours reads it.
fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    build(&mut builder);
    builder.into_inner().expect("memory")
}

fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, name, content).expect("memory");
}

fn members(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, Error> {
    let mut archive = Archive::new(bytes);
    let mut all = Vec::new();
    while let Some(member) = archive.next()? {
        let mut content = Vec::new();
        let mut buffer = [0; 7];
        loop {
            let count = archive.read_content(&mut buffer)?;
            if count == 0 {
                break;
            }
            content.extend_from_slice(&buffer[..count]);
        }
        all.push((member, content));
    }
    Ok(all)
}

/// What the `tar` crate reads after one head was edited.
fn edited(bytes: &[u8], edit: impl FnOnce(&mut Head)) -> tar::Archive<io::Cursor<Vec<u8>>> {
    let (mut member, content) = members(bytes).expect("valid").remove(0);
    edit(&mut member.head);
    let mut out = member.head.to_bytes();
    out.extend_from_slice(&content);
    out.extend_from_slice(zero_blocks(content.len() as u64));
    out.extend_from_slice(&[0; 2 * BLOCK]);
    tar::Archive::new(io::Cursor::new(out))
}

#[test]
fn long_names_are_read_in_every_spelling() {
    let long = "d/".repeat(120) + "name";
    let gnu = archive(|builder| file(builder, &long, 0o644, b"x"));
    assert_eq!(members(&gnu).expect("valid")[0].0.path.to_string(), format!("/{long}"));
    let pax = archive(|builder| {
        builder.append_pax_extensions([("path", long.as_bytes())]).expect("memory");
        file(builder, "short", 0o644, b"x");
    });
    assert_eq!(members(&pax).expect("valid")[0].0.path.to_string(), format!("/{long}"));
}

#[test]
fn heads_are_kept_byte_for_byte() {
    let bytes = archive(|builder| {
        builder.append_pax_extensions([("SCHILY.xattr.user.a", &b"\0\n="[..])]).expect("memory");
        file(builder, &"n".repeat(140), 0o4755, &[7; 600]);
    });
    let (member, content) = members(&bytes).expect("valid").remove(0);
    let head = member.head.to_bytes();
    assert_eq!(bytes[..head.len()], head);
    assert_eq!(content, [7; 600]);
    assert_eq!(member.mode, 0o4755);
}

#[test]
fn a_mode_is_changed_in_its_header_only() {
    let bytes = archive(|builder| file(builder, "su", 0o4755, b"bytes"));
    let mut out = edited(&bytes, |head| head.clear_mode(0o6000));
    let entry = out.entries().expect("valid").next().expect("one").expect("valid");
    assert_eq!(entry.header().mode().expect("number"), 0o755);
    assert_eq!(entry.path().expect("name").to_str(), Some("su"));
}

#[test]
fn a_capability_goes_and_other_attributes_stay() {
    let bytes = archive(|builder| {
        builder
            .append_pax_extensions([
                ("SCHILY.xattr.security.capability", &b"\x01\0\0\x02\0"[..]),
                ("SCHILY.xattr.user.keep", &b"1"[..]),
                ("LIBARCHIVE.xattr.security.capability", &b"AQAAAg"[..]),
            ])
            .expect("memory");
        file(builder, "ping", 0o755, b"bytes");
    });
    assert!(members(&bytes).expect("valid")[0].0.has_capability());
    let mut out = edited(&bytes, Head::clear_capability);
    let mut entry = out.entries().expect("valid").next().expect("one").expect("valid");
    let extensions = entry.pax_extensions().expect("valid").expect("some");
    let keys: Vec<_> =
        extensions.map(|e| e.expect("valid").key().expect("text").to_owned()).collect();
    assert_eq!(keys, ["SCHILY.xattr.user.keep"]);
}

#[test]
fn hostile_archives_are_refused() {
    let mut broken = archive(|builder| file(builder, "a", 0o644, b"x"));
    broken[0] = b'b';
    assert!(members(&broken).expect_err("checksum").to_string().contains("checksum"));
    let escaping = archive(|builder| {
        builder.append_pax_extensions([("path", &b"../../etc/passwd"[..])]).expect("memory");
        file(builder, "a", 0o644, b"x");
    });
    assert!(members(&escaping).expect_err("escapes").to_string().contains(".."));
    let truncated = archive(|builder| file(builder, "a", 0o644, &[1; 2000]));
    assert!(members(&truncated[..1500]).is_err());
}

#[test]
fn an_archive_may_end_without_its_zero_blocks() {
    let whole = archive(|builder| file(builder, "a", 0o644, b"x"));
    assert_eq!(members(&whole[..2 * BLOCK]).expect("valid").len(), 1);
}
