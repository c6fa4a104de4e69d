//! Products of matrices, against sums of products, wherever they lie; and without OpenBLAS.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
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
        true => strided(data, columns, rows, rows + gap).reversed_axes(),
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

/// What the test's own program, run again, shall be told: words of the message and of the hint.
const TOLD: &str = "PG_NEURAL_TEST_TOLD";

/// Runs the program again from `file`, where it cannot load OpenBLAS.
fn run_again(file: &Path, libraries: &Path, told: [&str; 2]) {
    let output = Command::new(file)
        .args([
            "--exact",
            "matrix::what_is_missing_is_named_and_products_are_right_without",
        ])
        .env("LD_LIBRARY_PATH", libraries)
        .env(TOLD, told.join("|"))
        .output()
        .expect("the program");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

#[test]
fn what_is_missing_is_named_and_products_are_right_without() {
    if let Ok(told) = std::env::var(TOLD) {
        let (in_message, in_hint) = told.split_once('|').expect("two parts");
        let error = blas::load().expect_err("no OpenBLAS");
        let message = error.to_string();
        assert!(message.contains("OpenBLAS"), "{message}");
        assert!(message.contains(in_message), "{message}");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains(in_hint), "{hint}");
        return compare([17, 40, 65]);
    }
    let program = std::env::current_exe().expect("this program");
    let directory = std::env::temp_dir().join(format!("pg_neural_none_{}", std::process::id()));
    fs::create_dir(&directory).expect("a directory");

    fs::write(directory.join("libopenblas.so.0"), "no library").expect("a file");
    run_again(
        &program,
        &directory,
        ["libopenblas.so.0", "libopenblas0-pthread"],
    );

    // A program elsewhere has no library beside it.
    let elsewhere = directory.join("program");
    symlink(&program, &elsewhere).expect("a link");
    let library = directory.join("libpg_neural_blas.so");
    run_again(
        &elsewhere,
        &directory,
        [
            &format!("{}: No such file", library.display()),
            "beside pg_neural.so",
        ],
    );

    // One with a table of which only the first value is known.
    let source = directory.join("other.c");
    fs::write(&source, "unsigned PG_NEURAL_BLAS = 999;").expect("a file");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-o"]).arg(&library).arg(&source);
    assert!(compiler.status().expect("a C compiler").success());
    run_again(
        &elsewhere,
        &directory,
        ["another version's (999", "Connect again"],
    );

    fs::remove_dir_all(&directory).expect("the directory goes");
}
