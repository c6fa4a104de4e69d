//! Products of matrices, against sums of products, wherever they lie; and without OpenBLAS.

use std::process::Command;

use pg_neural::nn::matrix::{Matrix, matrix, multiply, strided, strided_mut};
use pg_neural::nn::{Random, blas};

fn values(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.normal_f32()).collect()
}

/// `rows` rows of `columns` values; or the same transposed, which lie as columns.
fn view(data: &[f32], [rows, columns]: [usize; 2], gap: usize, transposed: bool) -> Matrix<'_> {
    match transposed {
        false => strided(data, rows, columns, columns + gap),
        true => strided(data, columns, rows, rows + gap).t(),
    }
}

/// Compares products of these sizes in all arrangements.
fn compare([m, n, k]: [usize; 3]) {
    let mut random = Random::new(7, 0);
    let gap = 3;
    let size = |rows: usize, columns: usize| (rows + gap) * (columns + gap);
    let a = values(&mut random, size(m, k));
    let b = values(&mut random, size(k, n));
    let before = values(&mut random, size(m, n));
    for (a_transposed, b_transposed) in [(false, false), (false, true), (true, false), (true, true)]
    {
        for (gap, beta) in [(0, 0.0), (0, 1.0), (gap, 0.0), (gap, 1.0)] {
            let at = |[rows, columns]: [usize; 2], transposed, row, column| match transposed {
                false => row * (columns + gap) + column,
                true => column * (rows + gap) + row,
            };
            let mut c = before.clone();
            multiply(
                &view(&a, [m, k], gap, a_transposed),
                &view(&b, [k, n], gap, b_transposed),
                beta,
                &mut strided_mut(&mut c, m, n, n + gap),
            );
            let mut expected = before.clone();
            for row in 0..m {
                for column in 0..n {
                    let sum: f64 = (0..k)
                        .map(|k_at| {
                            let a = a[at([m, k], a_transposed, row, k_at)];
                            let b = b[at([k, n], b_transposed, k_at, column)];
                            f64::from(a) * f64::from(b)
                        })
                        .sum();
                    let place = row * (n + gap) + column;
                    expected[place] = (f64::from(beta * before[place]) + sum) as f32;
                }
            }
            for (place, (&c, &expected)) in c.iter().zip(&expected).enumerate() {
                assert!(
                    (c - expected).abs() <= 1e-5 * (k + 1) as f32,
                    "{m}×{k} · {k}×{n}, {a_transposed}, {b_transposed}, {gap}, {beta}: {c}, not \
                     {expected}, at {place}"
                );
            }
        }
    }
}

#[test]
fn products_are_sums_of_products_however_the_matrices_lie() {
    for sizes in [
        [1, 1, 1],
        [2, 7, 5],
        [7, 7, 7],
        [8, 1, 1],
        [1, 8, 1],
        [1, 1, 8],
        [1, 9, 4],
        [9, 1, 4],
        [33, 17, 1],
        [17, 40, 65],
        [0, 4, 9],
        [4, 0, 9],
        [4, 9, 0],
    ] {
        compare(sizes);
    }
}

#[test]
fn what_a_product_replaces_may_be_no_number() {
    let mut c = [f32::NAN; 2];
    multiply(
        &matrix(&[2.0; 18], 2, 9),
        &matrix(&[1.0; 9], 9, 1),
        0.0,
        &mut strided_mut(&mut c, 2, 1, 1),
    );
    assert_eq!(c, [18.0; 2]);
}

/// Where the test's own program, run again, finds libraries of OpenBLAS's names that are none.
const NONE: &str = "PG_NEURAL_TEST_LIBRARIES";

#[test]
fn without_openblas_the_error_names_it_and_products_are_right() {
    if std::env::var_os(NONE).is_some() {
        let error = blas::load().expect_err("no OpenBLAS");
        let told = error.to_string();
        assert!(
            told.contains("OpenBLAS") && told.contains("libopenblas.so.0"),
            "{told}"
        );
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("libopenblas0-pthread"), "{hint}");
        compare([17, 40, 65]);
        return;
    }
    let directory = std::env::temp_dir().join(format!("pg_neural_none_{}", std::process::id()));
    std::fs::create_dir(&directory).expect("a directory");
    for name in ["libopenblas.so.0", "libopenblas.so"] {
        std::fs::write(directory.join(name), "no library").expect("a file");
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "matrix::without_openblas_the_error_names_it_and_products_are_right",
        ])
        .env("LD_LIBRARY_PATH", &directory)
        .env(NONE, "1")
        .output()
        .expect("the program");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}
