//! Small images whose headers are real; their pixels are not.

/// A JPEG of this size; `mark` makes it distinguishable.
pub(crate) fn jpeg(width: u16, height: u16, mark: u8) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    bytes.extend([0xFF, 0xE0, 0, 16]);
    bytes.extend(*b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    bytes.extend([0xFF, 0xC0, 0, 11, 8]);
    bytes.extend(height.to_be_bytes());
    bytes.extend(width.to_be_bytes());
    bytes.extend([1, 1, 0x11, 0]);
    bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    bytes.extend([mark; 200]);
    bytes.extend([0xFF, 0xD9]);
    bytes
}

/// A lossy WebP of this size.
pub(crate) fn webp(width: u16, height: u16) -> Vec<u8> {
    let mut frame = vec![0x10, 0, 0, 0x9D, 0x01, 0x2A];
    frame.extend(width.to_le_bytes());
    frame.extend(height.to_le_bytes());
    frame.extend([0; 90]);
    let length = |bytes: usize| u32::try_from(bytes).expect("small").to_le_bytes();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(length(frame.len() + 12));
    bytes.extend(b"WEBPVP8 ");
    bytes.extend(length(frame.len()));
    bytes.extend(frame);
    bytes
}
