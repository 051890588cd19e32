//! The inner loops of the search, in plain Rust and for the vector units of x86-64. Sums are of integers, or have a fixed order, so
//! every processor gets the same numbers.

/// Rows whose sign codes are stored together: the bytes of one AVX-512 register.
pub(super) const LANES: usize = 64;
/// Sign-code tables that are added up in 8 bits before the sum is widened: 16 entries of at most [`MAX_ENTRY`] fit.
const NARROW: usize = 16;
/// The largest entry of a table.
pub(super) const MAX_ENTRY: u8 = 15;

/// Four bits of a sign code select one of 16 entries.
pub(super) type Table = [u8; 16];

/// The dot product of each row of `rows` (`[rows, n]`) with `query` (`[n]`), into `sums` (`[rows]`).
pub(super) fn dot_rows(rows: &[i8], query: &[i8], sums: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the processor has AVX-512 BW, which includes F, and VNNI.
            return unsafe { dot_rows_vnni(rows, query, sums) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { dot_rows_avx2(rows, query, sums) };
        }
    }
    dot_rows_portable(rows, query, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_rows_vnni(rows: &[i8], query: &[i8], sums: &mut [i32]) {
    use std::arch::x86_64::*;
    const BYTES: usize = 64;
    // The instruction multiplies unsigned by signed numbers: 128 is added to each of the row's, and its share of the sum
    // subtracted in the end.
    let flip = _mm512_set1_epi8(-128);
    let added = 128 * query.iter().map(|number| i32::from(*number)).sum::<i32>();
    for (row, sum) in rows.chunks_exact(query.len()).zip(sums) {
        let mut total = _mm512_setzero_si512();
        for (row, query) in row.chunks(BYTES).zip(query.chunks(BYTES)) {
            let mask = u64::MAX >> (BYTES - row.len());
            // SAFETY: the mask has a bit for each byte of both.
            let (row, query) = unsafe {
                (_mm512_maskz_loadu_epi8(mask, row.as_ptr()), _mm512_maskz_loadu_epi8(mask, query.as_ptr()))
            };
            total = _mm512_dpbusd_epi32(total, _mm512_xor_si512(row, flip), query);
        }
        *sum = _mm512_reduce_add_epi32(total) - added;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_rows_avx2(rows: &[i8], query: &[i8], sums: &mut [i32]) {
    dot_rows_portable(rows, query, sums);
}

#[inline(always)]
fn dot_rows_portable(rows: &[i8], query: &[i8], sums: &mut [i32]) {
    for (row, sum) in rows.chunks_exact(query.len()).zip(sums) {
        *sum = row.iter().zip(query).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
    }
}

/// Has the processor load memory into its caches that is used a little later.
pub(super) fn prefetch<T>(memory: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for place in (0..size_of_val(memory)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch changes nothing, and the address is within the slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(memory.as_ptr().cast::<i8>().add(place)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}

/// Adds up the tables' entries that each row's sign code selects.
///
/// `codes` holds `LANES` rows after each other as `[tables / 2, LANES]` bytes: the low half of a byte selects from an even
/// table, the high half from the odd one after it. The number of tables is a multiple of 16, at most 2,048.
/// `sums` is `[rows]`.
pub(super) fn sum_codes(codes: &[u8], tables: &[Table], sums: &mut [i16]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor has AVX-512 BW, which includes F.
            return unsafe { sum_codes_avx512(codes, tables, sums) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { sum_codes_avx2(codes, tables, sums) };
        }
    }
    sum_codes_portable(codes, tables, sums);
}

fn sum_codes_portable(codes: &[u8], tables: &[Table], sums: &mut [i16]) {
    for (codes, sums) in codes.chunks_exact(tables.len() / 2 * LANES).zip(sums.chunks_exact_mut(LANES)) {
        sums.fill(0);
        for (codes, pair) in codes.chunks_exact(LANES).zip(tables.chunks_exact(2)) {
            for (code, sum) in codes.iter().zip(&mut *sums) {
                let (low, high) = (usize::from(code & 15), usize::from(code >> 4));
                *sum += i16::from(pair[0][low]) + i16::from(pair[1][high]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_codes_avx512(codes: &[u8], tables: &[Table], sums: &mut [i16]) {
    use std::arch::x86_64::*;
    let half = _mm512_set1_epi8(15);
    for (codes, sums) in codes.chunks_exact(tables.len() / 2 * LANES).zip(sums.chunks_exact_mut(LANES)) {
        let mut wide = [_mm512_setzero_si512(); 2];
        for (codes, tables) in codes.chunks_exact(NARROW / 2 * LANES).zip(tables.chunks_exact(NARROW)) {
            let mut narrow = _mm512_setzero_si512();
            for (codes, pair) in codes.chunks_exact(LANES).zip(tables.chunks_exact(2)) {
                // SAFETY: `codes` has 64 bytes, and each table 16.
                let (codes, even, odd) = unsafe {
                    (
                        _mm512_loadu_si512(codes.as_ptr().cast()),
                        _mm_loadu_si128(pair[0].as_ptr().cast()),
                        _mm_loadu_si128(pair[1].as_ptr().cast()),
                    )
                };
                let low = _mm512_and_si512(codes, half);
                let high = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), half);
                narrow = _mm512_add_epi8(narrow, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(even), low));
                narrow = _mm512_add_epi8(narrow, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(odd), high));
            }
            let halves = [_mm512_castsi512_si256(narrow), _mm512_extracti64x4_epi64::<1>(narrow)];
            for (wide, narrow) in wide.iter_mut().zip(halves) {
                *wide = _mm512_add_epi16(*wide, _mm512_cvtepu8_epi16(narrow));
            }
        }
        for (wide, sums) in wide.into_iter().zip(sums.chunks_exact_mut(LANES / 2)) {
            // SAFETY: `sums` has 32 numbers of 16 bits.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), wide) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_codes_avx2(codes: &[u8], tables: &[Table], sums: &mut [i16]) {
    use std::arch::x86_64::*;
    let half = _mm256_set1_epi8(15);
    for (codes, sums) in codes.chunks_exact(tables.len() / 2 * LANES).zip(sums.chunks_exact_mut(LANES)) {
        for (side, sums) in sums.chunks_exact_mut(LANES / 2).enumerate() {
            let mut wide = [_mm256_setzero_si256(); 2];
            for (codes, tables) in codes.chunks_exact(NARROW / 2 * LANES).zip(tables.chunks_exact(NARROW)) {
                let mut narrow = _mm256_setzero_si256();
                for (codes, pair) in codes.chunks_exact(LANES).zip(tables.chunks_exact(2)) {
                    let codes = &codes[side * LANES / 2..][..LANES / 2];
                    // SAFETY: `codes` has 32 bytes, and each table 16.
                    let (codes, even, odd) = unsafe {
                        (
                            _mm256_loadu_si256(codes.as_ptr().cast()),
                            _mm_loadu_si128(pair[0].as_ptr().cast()),
                            _mm_loadu_si128(pair[1].as_ptr().cast()),
                        )
                    };
                    let low = _mm256_and_si256(codes, half);
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), half);
                    let (even, odd) = (_mm256_broadcastsi128_si256(even), _mm256_broadcastsi128_si256(odd));
                    narrow = _mm256_add_epi8(narrow, _mm256_shuffle_epi8(even, low));
                    narrow = _mm256_add_epi8(narrow, _mm256_shuffle_epi8(odd, high));
                }
                let halves = [_mm256_castsi256_si128(narrow), _mm256_extracti128_si256::<1>(narrow)];
                for (wide, narrow) in wide.iter_mut().zip(halves) {
                    *wide = _mm256_add_epi16(*wide, _mm256_cvtepu8_epi16(narrow));
                }
            }
            for (wide, sums) in wide.into_iter().zip(sums.chunks_exact_mut(LANES / 4)) {
                // SAFETY: `sums` has 16 numbers of 16 bits.
                unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), wide) };
            }
        }
    }
}

/// A bit for each of the sums, from the lowest on: 1 if it is at least `floor`.
pub(super) fn mark_at_least(sums: &[i16; LANES], floor: i16) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has AVX-512 BW, which includes F.
        return unsafe { mark_at_least_avx512(sums, floor) };
    }
    mark_at_least_portable(sums, floor)
}

fn mark_at_least_portable(sums: &[i16; LANES], floor: i16) -> u64 {
    // Most groups have none.
    if sums.iter().copied().fold(i16::MIN, i16::max) < floor {
        return 0;
    }
    sums.iter().rev().fold(0, |marks, sum| marks << 1 | u64::from(*sum >= floor))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn mark_at_least_avx512(sums: &[i16; LANES], floor: i16) -> u64 {
    use std::arch::x86_64::*;
    let floor = _mm512_set1_epi16(floor);
    let mark = |sums: &[i16]| {
        // SAFETY: both halves have 32 numbers of 16 bits.
        let sums = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
        u64::from(_mm512_cmpge_epi16_mask(sums, floor))
    };
    let (low, high) = sums.split_at(LANES / 2);
    mark(low) | mark(high) << (LANES / 2)
}

/// The dot product of two vectors of one length, with eight sums side by side, so that the compiler can keep them in one
/// register. Their order is fixed: every processor gets the same number.
pub(super) fn dot_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn a_dot_product_covers_every_element() {
        let values: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot_product(&values, &values), (0..19).map(|i| (i * i) as f32).sum::<f32>());
    }

    proptest! {
        #[test]
        fn vector_units_add_up_what_plain_code_does(
            codes in vec(any::<u8>(), 3 * 32 * LANES),
            tables in vec(proptest::array::uniform16(0..=MAX_ENTRY), 64),
        ) {
            let mut expected = vec![0; 3 * LANES];
            sum_codes_portable(&codes, &tables, &mut expected);
            let mut sums = vec![-1; 3 * LANES];
            sum_codes(&codes, &tables, &mut sums);
            prop_assert_eq!(&sums, &expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                sums.fill(-1);
                // SAFETY: the processor has AVX2.
                unsafe { sum_codes_avx2(&codes, &tables, &mut sums) };
                prop_assert_eq!(&sums, &expected);
            }
        }

        #[test]
        fn vector_units_mark_what_plain_code_does(sums in proptest::collection::vec(-9i16..9, LANES), floor in -9i16..9) {
            let sums: [i16; LANES] = sums.try_into().unwrap();
            let marks = mark_at_least(&sums, floor);
            prop_assert_eq!(marks, mark_at_least_portable(&sums, floor));
            for (lane, sum) in sums.iter().enumerate() {
                prop_assert_eq!(marks >> lane & 1 == 1, *sum >= floor);
            }
        }

        #[test]
        fn vector_units_multiply_what_plain_code_does(rows in vec(any::<i8>(), 5 * 101), query in vec(any::<i8>(), 101)) {
            let (mut sums, mut expected) = ([0; 5], [0; 5]);
            dot_rows(&rows, &query, &mut sums);
            dot_rows_portable(&rows, &query, &mut expected);
            prop_assert_eq!(sums, expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                sums.fill(-1);
                // SAFETY: the processor has AVX2.
                unsafe { dot_rows_avx2(&rows, &query, &mut sums) };
                prop_assert_eq!(sums, expected);
            }
        }
    }
}
