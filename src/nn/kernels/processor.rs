//! The choice of vector instructions at run time.
//!
//! Code that is written once, as a [`Task`], is compiled for each set of instructions named here
//! and run with the best one the processor has. The results are the same with any of them, as long
//! as a task keeps to operations that IEEE 754 rounds exactly, in an order of its own.

/// What runs with the vector instructions of a [`Processor`].
pub trait Task {
    /// Does the work. Must be `#[inline(always)]`, as all that it calls in its inner loops: only
    /// what is inlined is compiled with the instructions chosen.
    fn run(self);
}

/// A set of vector instructions that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor(pub(in crate::nn) Instructions);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Instructions {
    /// AVX-512, and products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, and products of bytes.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Every aarch64 processor's, and so of the crate as it is compiled.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Whatever the crate was compiled for. On x86-64 fused multiply-adds are then calls, exact
    /// and slow.
    Baseline,
}

impl Processor {
    /// The best set of instructions of this machine. Costs a load and a comparison.
    #[inline]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if Self::has_avx512() {
                return Self(match std::is_x86_feature_detected!("avx512vnni") {
                    true => Instructions::Avx512Vnni,
                    false => Instructions::Avx512,
                });
            }
            if Self::has_avx2() {
                return Self(match std::is_x86_feature_detected!("avxvnni") {
                    true => Instructions::AvxVnni,
                    false => Instructions::Avx2,
                });
            }
        }
        #[cfg(target_arch = "aarch64")]
        return Self(Instructions::Neon);
        #[cfg(not(target_arch = "aarch64"))]
        Self(Instructions::Baseline)
    }

    /// All that this machine can run, the best first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if Self::has_avx512() && std::is_x86_feature_detected!("avx512vnni") {
                all.push(Self(Instructions::Avx512Vnni));
            }
            if Self::has_avx512() {
                all.push(Self(Instructions::Avx512));
            }
            if Self::has_avx2() && std::is_x86_feature_detected!("avxvnni") {
                all.push(Self(Instructions::AvxVnni));
            }
            if Self::has_avx2() {
                all.push(Self(Instructions::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self(Instructions::Neon));
        all.push(Self(Instructions::Baseline));
        all
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn has_avx512() -> bool {
        std::is_x86_feature_detected!("avx512f") && Self::has_avx2()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn has_avx2() -> bool {
        std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
    }

    /// Runs the task with this set of instructions.
    #[inline]
    pub fn run<T: Task>(self, task: T) {
        match self.0 {
            // SAFETY: a `Processor` of this kind exists only where detection found AVX-512.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni | Instructions::Avx512 => unsafe { run_avx512(task) },
            // SAFETY: likewise for AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Instructions::AvxVnni | Instructions::Avx2 => unsafe { run_avx2(task) },
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => task.run(),
            Instructions::Baseline => task.run(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn run_avx512<T: Task>(task: T) {
    task.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: Task>(task: T) {
    task.run();
}
