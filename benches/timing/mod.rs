//! How the benches take times: the least of several samples, since what else the machine does only
//! adds to a time.

use std::time::Instant;

const SAMPLES: usize = 15;
/// Of a sample.
const SECONDS: f64 = 0.003;

/// The least seconds that each takes, in turns.
pub fn least<const N: usize>(mut tasks: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::MAX; N];
    let mut repeats = [1; N];
    for _ in 0..SAMPLES {
        for ((task, least), repeats) in tasks.iter_mut().zip(&mut least).zip(&mut repeats) {
            let begin = Instant::now();
            for _ in 0..*repeats {
                task();
            }
            *least = least.min(begin.elapsed().as_secs_f64() / f64::from(*repeats));
            *repeats = (SECONDS / *least).ceil() as u32;
        }
    }
    least
}
