//! Arbitrary headers in any request: no panic, parsed values read back after formatting, and no decision permits more
//! than allowed.
//!
//! `scripts/fuzz.sh headers`

#![no_main]

use libfuzzer_sys::fuzz_target;
use sortie_tus::header::{Checksum, Concat, UploadLength};
use sortie_tus::metadata::{MAX_METADATA_BYTES, Metadata};
use sortie_tus::server::{
    Append, Creation, Extension, Protocol, Refusal, admit, effective_method, part_id,
};

const METHODS: [&str; 5] = ["POST", "PATCH", "HEAD", "DELETE", "GET"];
const MAX_SIZE: u64 = 1 << 40;

fn protocol(bits: u8) -> Protocol {
    let extensions = Extension::ALL
        .into_iter()
        .enumerate()
        .filter(|(at, _)| bits >> at & 1 == 1)
        .map(|(_, extension)| extension);
    Protocol {
        max_size: MAX_SIZE,
        extensions: extensions.collect(),
    }
}

fn check_refusal(refusal: &Refusal) {
    assert!((400..500).contains(&refusal.status()), "{refusal:?}");
    assert!(refusal.to_string().ends_with('.'), "{refusal}");
}

fn check_metadata(metadata: &Metadata) {
    let text = metadata.to_string();
    assert!(text.len() <= MAX_METADATA_BYTES);
    assert_eq!(Metadata::parse(&text).as_ref(), Ok(metadata));
}

fn check_checksum(checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        assert_eq!(checksum.digest().len(), checksum.algorithm().digest_bytes());
        assert_eq!(Checksum::parse(&checksum.to_string()).as_ref(), Ok(checksum));
    }
}

fn check_append(append: &Append, offset: u64, length: UploadLength, body: Option<u64>) {
    check_checksum(append.checksum.as_ref());
    match admit(append, offset, length, body, MAX_SIZE) {
        Ok(admission) => {
            assert_eq!(append.offset, offset);
            let end = offset.checked_add(admission.max_bytes).expect("an offset");
            match admission.length {
                UploadLength::Known(length) => assert!(end <= length),
                UploadLength::Deferred => assert!(end <= MAX_SIZE.max(offset)),
            }
            if let (UploadLength::Known(before), UploadLength::Known(after)) =
                (length, admission.length)
            {
                assert_eq!(before, after, "a length is declared once");
            }
            assert!(body.is_none_or(|body| body <= admission.max_bytes));
        }
        Err(refusal) => check_refusal(&refusal),
    }
}

fn check_creation(creation: &Creation) {
    check_metadata(&creation.metadata);
    check_checksum(creation.checksum.as_ref());
    assert!(creation.length.known().is_none_or(|length| length <= MAX_SIZE));
    if let Some(concat) = &creation.concat {
        assert_eq!(Concat::parse(&concat.to_string()).as_ref(), Ok(concat));
        if let Concat::Final(parts) = concat {
            for part in parts {
                match part_id(part, "/api/uploads/", |origin| origin == "https://here") {
                    Ok(id) => assert!(!id.is_empty() && !id.contains('/')),
                    Err(refusal) => check_refusal(&refusal),
                }
            }
        }
    }
    if let Some(append) = creation.first_append() {
        check_append(&append, 0, creation.length, None);
    }
}

// Extensions, method and state of the upload; then headers, one per line, `name: value`.
fuzz_target!(|input: &[u8]| {
    let &[extensions, method, state, offset, ref text @ ..] = input else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let headers: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|&(_, value)| value)
    };
    let protocol = protocol(extensions);
    assert!(!protocol.announcement().is_empty());
    let given = METHODS[usize::from(method) % METHODS.len()];
    let meant = effective_method(given, header);
    assert!(given == "POST" || meant == given);

    match protocol.creation(header) {
        Ok(creation) => check_creation(&creation),
        Err(refusal) => check_refusal(&refusal),
    }
    let length = match state % 3 {
        0 => UploadLength::Deferred,
        1 => UploadLength::Known(u64::from(offset) + u64::from(state)),
        _ => UploadLength::Known(MAX_SIZE),
    };
    let body = (state & 0x80 != 0).then_some(u64::from(state));
    match protocol.append(header) {
        Ok(append) => check_append(&append, u64::from(offset), length, body),
        Err(refusal) => check_refusal(&refusal),
    }
});
