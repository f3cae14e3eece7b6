//! Layout of ustreamer's shared memory, which differs between its versions and processors.

/// First bytes of the memory.
const MAGIC: u64 = 0xCAFE_BABE_CAFE_BABE;
/// Largest frame: the size of the memory in the oldest version.
const LARGEST_FRAME: usize = 32 << 20;
/// Bytes for frames of the newer versions, by the kind of frame.
const SIZES: [u64; 5] = [
    2 << 20,
    4 << 20,
    1920 * 1200 * 3,
    3840 * 2160 * 3,
    LARGEST_FRAME as u64,
];

/// Form of C's `long double`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LongDouble {
    /// 80 bits in 16 bytes.
    X87,
    /// IEEE 754, 128 bits.
    Quad,
    /// IEEE 754, 64 bits.
    Double,
}

/// C types of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abi {
    long_double: LongDouble,
    /// Size of `size_t` in bytes.
    size: usize,
}

impl Abi {
    /// Types of this processor; `None` if they are unknown.
    pub(super) fn native() -> Option<Self> {
        let long_double = match std::env::consts::ARCH {
            "x86_64" => LongDouble::X87,
            "aarch64" | "riscv64" => LongDouble::Quad,
            "arm" => LongDouble::Double,
            _ => return None,
        };
        Some(Self {
            long_double,
            size: size_of::<usize>(),
        })
    }
}

impl LongDouble {
    pub(super) fn size(self) -> usize {
        match self {
            Self::X87 | Self::Quad => 16,
            Self::Double => 8,
        }
    }

    /// Encodes a positive, normal number.
    pub(super) fn encode(self, value: f64) -> Vec<u8> {
        let bits = value.to_bits();
        let exponent = bits >> 52 & 0x7FF;
        let fraction = bits & ((1 << 52) - 1);
        // The wider forms have an exponent of 15 bits.
        let wide = exponent + 16383 - 1023;
        match self {
            Self::Double => bits.to_le_bytes().to_vec(),
            Self::X87 => {
                let mantissa = 1 << 63 | fraction << 11;
                (u128::from(wide) << 64 | u128::from(mantissa))
                    .to_le_bytes()
                    .to_vec()
            }
            Self::Quad => (u128::from(wide) << 112 | u128::from(fraction) << 60)
                .to_le_bytes()
                .to_vec(),
        }
    }

    /// Decodes a positive, normal number; `None` for all others.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<f64> {
        let (exponent, fraction) = match self {
            Self::Double => {
                let value = f64::from_le_bytes(bytes.try_into().ok()?);
                return (value.is_normal() && value > 0.0).then_some(value);
            }
            Self::X87 => {
                let bits = u128::from_le_bytes(bytes.try_into().ok()?);
                // The bytes behind the 80 bits are undefined.
                (bits >> 64 & 0xFFFF, bits >> 11 & ((1 << 52) - 1))
            }
            Self::Quad => {
                let bits = u128::from_le_bytes(bytes.try_into().ok()?);
                (bits >> 112, bits >> 60 & ((1 << 52) - 1))
            }
        };
        let narrow = exponent.checked_sub(16383 - 1023)?;
        let bits = u64::try_from(narrow << 52 | fraction).ok()?;
        (1..0x7FF).contains(&narrow).then(|| f64::from_bits(bits))
    }
}

/// Offsets of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    abi: Abi,
    id: usize,
    used: usize,
    /// Width, height and format follow each other.
    width: usize,
    /// `online`; `key` follows it.
    online: usize,
    grabbed: usize,
    pub(super) last_client: usize,
    /// Since version 3.
    pub(super) wants_key: Option<usize>,
    /// Bytes in front of the frame.
    pub(super) header: usize,
}

/// Frame in the memory, without its data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Header {
    /// Changes with every frame.
    pub(super) id: u64,
    /// Bytes of the frame.
    pub(super) used: usize,
    pub(super) width: u32,
    pub(super) height: u32,
    /// As in V4L2.
    pub(super) fourcc: [u8; 4],
    /// Whether ustreamer has a signal.
    pub(super) online: bool,
    pub(super) key: bool,
    /// Time of the capture in seconds of the monotonic clock.
    pub(super) grabbed: Option<f64>,
}

/// Reason why the memory cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// ustreamer has written no frame yet.
    Empty,
    /// Version of ustreamer's memory that is not supported.
    Version(u32),
}

/// Bytes that have the version, in every version.
pub(super) const VERSIONED: usize = 12;

/// Assigns offsets as a C compiler does.
struct Fields(usize);

impl Fields {
    fn add(&mut self, size: usize) -> usize {
        let offset = self.0.next_multiple_of(size);
        self.0 = offset + size;
        offset
    }

    fn skip(&mut self, count: usize, size: usize) {
        for _ in 0..count {
            self.add(size);
        }
    }
}

impl Layout {
    /// Returns the layout of a memory of `length` bytes that begins with `start`, at least [`VERSIONED`] bytes.
    pub(super) fn of(start: &[u8], length: u64, abi: Abi) -> Result<Self, Unreadable> {
        let magic = start.get(..8).and_then(|it| it.try_into().ok());
        let version = start.get(8..VERSIONED).and_then(|it| it.try_into().ok());
        let (Some(magic), Some(version)) = (magic, version) else {
            return Err(Unreadable::Empty);
        };
        if u64::from_le_bytes(magic) != MAGIC {
            return Err(Unreadable::Empty);
        }
        let version = u32::from_le_bytes(version);
        match version {
            2..=4 | 6 => Ok(Self::client_last(version, abi)),
            // A second time was added without a new version.
            7 => {
                let one = Self::client_first(version, 3, abi);
                let two = Self::client_first(version, 4, abi);
                let fits = |layout: &Self| {
                    length
                        .checked_sub(layout.header as u64)
                        .is_some_and(|frames| SIZES.contains(&frames))
                };
                Ok(if fits(&one) { one } else { two })
            }
            8..=10 => Ok(Self::client_first(version, 4, abi)),
            _ => Err(Unreadable::Version(version)),
        }
    }

    /// Layout of versions 2 to 6: the client's fields are behind those of the frame.
    fn client_last(version: u32, abi: Abi) -> Self {
        let mut fields = Fields(VERSIONED);
        let (id, used) = (fields.add(8), fields.add(abi.size));
        let frame = Self::frame(&mut fields, version, 3, abi);
        let last_client = fields.add(abi.long_double.size());
        let wants_key = (version >= 3).then(|| fields.add(1));
        let whole = fields.0.next_multiple_of(abi.long_double.size().max(8));
        // Before version 6 the frame is the structure's last field.
        let header = if version < 6 { fields.0 } else { whole };
        Self::new(abi, (id, used), frame, last_client, wants_key, header)
    }

    /// Layout since version 7, with this number of times.
    fn client_first(version: u32, times: usize, abi: Abi) -> Self {
        let mut fields = Fields(VERSIONED);
        let (id, used) = (fields.add(8), fields.add(abi.size));
        let last_client = fields.add(abi.long_double.size());
        let wants_key = if version < 9 {
            fields.add(1)
        } else {
            // A structure: width, height, in version 9 stride, format, rate, and the key.
            fields.skip(if version == 9 { 5 } else { 4 }, 4);
            let key = fields.add(1);
            fields.0 = fields.0.next_multiple_of(4);
            key
        };
        let frame = Self::frame(&mut fields, version, times, abi);
        let header = fields.0.next_multiple_of(abi.long_double.size().max(8));
        Self::new(abi, (id, used), frame, last_client, Some(wants_key), header)
    }

    /// Offsets of width, `online` and the first time.
    fn frame(fields: &mut Fields, version: u32, times: usize, abi: Abi) -> (usize, usize, usize) {
        let width = fields.add(4);
        // Height, format and stride.
        fields.skip(3, 4);
        let online = fields.add(1);
        // Key, and the distance of keyframes.
        fields.add(1);
        if version >= 4 {
            fields.add(4);
        }
        let grabbed = fields.add(abi.long_double.size());
        fields.skip(times - 1, abi.long_double.size());
        (width, online, grabbed)
    }

    fn new(
        abi: Abi,
        (id, used): (usize, usize),
        (width, online, grabbed): (usize, usize, usize),
        last_client: usize,
        wants_key: Option<usize>,
        header: usize,
    ) -> Self {
        Self {
            abi,
            id,
            used,
            width,
            online,
            grabbed,
            last_client,
            wants_key,
            header,
        }
    }

    /// Encodes a time for `last_client`.
    pub(super) fn time(&self, seconds: f64) -> Vec<u8> {
        self.abi.long_double.encode(seconds)
    }

    /// Reads the fields from the bytes in front of the frame; `None` if they are too few, or the frame is too large.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Header> {
        let four = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        let used = bytes.get(self.used..self.used + self.abi.size)?;
        let used = used
            .iter()
            .rev()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let used = usize::try_from(used)
            .ok()
            .filter(|it| *it <= LARGEST_FRAME)?;
        let grabbed = bytes.get(self.grabbed..self.grabbed + self.abi.long_double.size())?;
        Some(Header {
            id: u64::from_le_bytes(bytes.get(self.id..self.id + 8)?.try_into().ok()?),
            used,
            width: u32::from_le_bytes(four(self.width)?),
            height: u32::from_le_bytes(four(self.width + 4)?),
            fourcc: four(self.width + 8)?,
            online: *bytes.get(self.online)? != 0,
            key: *bytes.get(self.online + 1)? != 0,
            grabbed: self.abi.long_double.decode(grabbed),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const X86: Abi = Abi {
        long_double: LongDouble::X87,
        size: 8,
    };

    fn start(version: u32) -> Vec<u8> {
        [&MAGIC.to_le_bytes()[..], &version.to_le_bytes()].concat()
    }

    /// `offsetof` of ustreamer's structures, as GCC gives it for `x86_64`.
    #[test]
    fn offsets_are_those_of_a_c_compiler() {
        #[track_caller]
        fn check(version: u32, length: u64, offsets: [usize; 6]) {
            let layout = Layout::of(&start(version), length, X86).unwrap();
            let key = layout.wants_key.unwrap_or(0);
            let frame = (layout.width, layout.online, layout.grabbed);
            let [width, online, grabbed, client, wants_key, header] = offsets;
            assert_eq!((layout.id, layout.used), (16, 24));
            assert_eq!(frame, (width, online, grabbed), "version {version}");
            let client_fields = (layout.last_client, key, layout.header);
            assert_eq!(
                client_fields,
                (client, wants_key, header),
                "version {version}"
            );
        }
        let (h264, jpeg) = (2 << 20, 4 << 20);
        check(2, 32 << 20, [32, 48, 64, 112, 0, 128]);
        check(3, 32 << 20, [32, 48, 64, 112, 128, 129]);
        check(4, 32 << 20, [32, 48, 64, 112, 128, 129]);
        check(6, h264 + 144, [32, 48, 64, 112, 128, 144]);
        check(7, h264 + 128, [52, 68, 80, 32, 48, 128]);
        check(7, jpeg + 144, [52, 68, 80, 32, 48, 144]);
        check(8, h264 + 144, [52, 68, 80, 32, 48, 144]);
        check(9, h264 + 160, [72, 88, 96, 32, 68, 160]);
        check(10, h264 + 160, [68, 84, 96, 32, 64, 160]);
    }

    #[test]
    fn foreign_memory_is_refused() {
        let of = |bytes: &[u8]| Layout::of(bytes, 0, X86);
        assert_eq!(of(&start(11)), Err(Unreadable::Version(11)));
        assert_eq!(of(&start(5)), Err(Unreadable::Version(5)));
        assert_eq!(of(&[0; 12]), Err(Unreadable::Empty));
        assert_eq!(of(&[]), Err(Unreadable::Empty));
        let layout = Layout::of(&start(2), 0, X86).unwrap();
        let mut bytes = vec![0; layout.header];
        assert!(layout.read(&bytes).is_some());
        bytes[24..32].fill(0xFF);
        assert_eq!(layout.read(&bytes), None, "a frame larger than the memory");
    }

    #[test]
    fn x87_number_is_as_in_c() {
        // 1.5L and 1e6L as GCC writes them.
        let bytes = [0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0x3F, 0x7B, 0, 0, 0, 0, 0];
        assert_eq!(LongDouble::X87.decode(&bytes), Some(1.5));
        let million = LongDouble::X87.encode(1e6);
        assert_eq!(million[..10], [0, 0, 0, 0, 0, 0, 0x24, 0xF4, 0x12, 0x40]);
    }

    proptest! {
        #[test]
        fn times_survive(seconds in 1e-3..1e12_f64) {
            for form in [LongDouble::X87, LongDouble::Quad, LongDouble::Double] {
                prop_assert_eq!(form.decode(&form.encode(seconds)), Some(seconds));
                prop_assert_eq!(form.encode(seconds).len(), form.size());
            }
        }

        #[test]
        fn hostile_memory_is_read_or_refused(
            version in 0..12_u32,
            length: u64,
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [start(version), rest].concat();
            for long_double in [LongDouble::X87, LongDouble::Quad, LongDouble::Double] {
                for size in [4, 8] {
                    let layout = Layout::of(&bytes, length, Abi { long_double, size });
                    if let Some(header) = layout.ok().and_then(|layout| layout.read(&bytes)) {
                        prop_assert!(header.used <= LARGEST_FRAME);
                    }
                }
            }
        }
    }
}
