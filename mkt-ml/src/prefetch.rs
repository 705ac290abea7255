//! Asking for memory before it is needed.

/// Brings the cache line of `values[at]` nearer; nothing happens past the end, or on processors other than
/// x86-64. Worth it where the next addresses are known but follow no pattern that hardware would guess.
#[inline(always)]
pub(crate) fn prefetch(values: &[u8], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        #[allow(unsafe_code)]
        // SAFETY: a prefetch reads nothing that the program could see and faults on no address; this one is that
        // of a live byte besides.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                std::ptr::from_ref(value).cast(),
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}
