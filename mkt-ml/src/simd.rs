//! One kernel, compiled for several instruction sets, chosen when it is called.
//!
//! Users build for the oldest machines of their platform; the wide registers of the machine at hand would lie
//! idle. A kernel written as plain safe Rust is compiled here a second and third time with AVX2 and AVX-512
//! switched on. Fused multiply-add is switched on with them but never used by the compiler of its own accord,
//! so that all versions compute the same bits; the tests compare them.

use std::sync::OnceLock;

/// Which version of a kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What the build requested.
    Plain,
    /// x86-64 with AVX2, BMI1 and BMI2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Level {
    /// The best that this machine can do.
    #[inline]
    pub(crate) fn of_machine() -> Self {
        // Asked for every few microseconds; the machine does not change.
        static FOUND: OnceLock<Level> = OnceLock::new();
        *FOUND.get_or_init(Self::find)
    }

    fn find() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2")
                && std::arch::is_x86_feature_detected!("lzcnt")
                && std::arch::is_x86_feature_detected!("popcnt");
            let avx512 = avx2
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl");
            if avx512 {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    /// All levels that this machine can run: what tests compare.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Plain, Self::Avx2, Self::Avx512].into_iter().filter(|level| *level <= Self::of_machine())
    }
}

/// Declares `fn name(level: Level, arguments)` that runs the `#[inline(always)]` function `body` compiled for
/// `level`. A level above the machine's own falls back to the plain version.
macro_rules! dispatched {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? = $body:path) => {
        $(#[$meta])*
        $visibility fn $name(level: $crate::simd::Level, $($argument: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx2($($argument: $kind),*) $(-> $result)? {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $kind),*) $(-> $result)? {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            {
                let level = level.min($crate::simd::Level::of_machine());
                if level == $crate::simd::Level::Avx512 {
                    // SAFETY: `of_machine` has found every feature that the function is compiled with.
                    return unsafe { avx512($($argument),*) };
                }
                if level == $crate::simd::Level::Avx2 {
                    // SAFETY: as above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = level;
            $body($($argument),*)
        }
    };
}
pub(crate) use dispatched;
