//! Ids of batch inserts: UUIDs of version 7 (RFC 9562).

use uuid::Uuid;

/// All of an id except its 48 bits of time, which the database adds: the place in the batch, then random bits.
pub(super) struct IdTail(u128);

impl IdTail {
    pub(super) fn new(place: u32) -> Self {
        let place = u128::from(place);
        let random = u128::from(rand::random::<u64>());
        // Version 7, 12 bits of the place, variant 2, 20 more bits of the place, 42 random bits.
        Self(0x7 << 76 | (place >> 20) << 64 | 0b10 << 62 | (place & 0xF_FFFF) << 42 | random >> 22)
    }

    pub(super) fn text(&self) -> String {
        format!("{:020x}", self.0)
    }

    pub(super) fn id(&self, milliseconds: i64) -> Uuid {
        Uuid::from_u128(u128::from(milliseconds.unsigned_abs()) << 80 | self.0)
    }
}
