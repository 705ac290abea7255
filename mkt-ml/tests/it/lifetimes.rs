//! Lifetime value against published figures, planted parameters, and the package lifetimes where it is installed.

use mkt_ml::lifetime::{
    Customer, Family, GammaGamma, Horizon, LifetimeError, Purchases, Purchasing, Span, Unit, hold_out,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// CDNOW in weeks, as lifetimes 0.11.3, BTYDplus and the papers have it.
const BG: [f64; 4] = [0.242_593, 4.413_532, 0.792_886, 2.425_752];
const PARETO: [f64; 4] = [0.553_281, 10.577_609, 0.606_184, 11.666_484];

fn weeks(repeats: u32, last: f64, observed: f64) -> Customer {
    Customer::new(repeats, Span::weeks(last), Span::weeks(observed)).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found} where {expected} is right");
}

fn given(family: Family, values: [f64; 4]) -> Purchasing {
    Purchasing::with_parameters(family, Unit::Week, values).unwrap()
}

#[test]
fn published_figures_of_cdnow_are_reproduced() {
    let [first, none] = [weeks(2, 30.43, 38.86), weeks(0, 0.0, 38.86)];
    let model = given(Family::BgNbd, BG);
    close(model.alive(&first), 0.726_609, 1e-6);
    close(model.expected(&first, Span::weeks(39.0)), 1.225_910, 1e-6);
    close(model.expected(&none, Span::weeks(39.0)), 0.194_781, 1e-6);
    assert_eq!(model.alive(&none), 1.0, "BG/NBD knows no leaving before the first repeat");
    close(given(Family::ParetoNbd, PARETO).alive(&first), 0.869_121, 1e-6);
    let spending = GammaGamma::with_parameters([6.248_802, 3.744_588, 15.447_748]).unwrap();
    close(spending.expected_value(0, None).unwrap(), 35.1710, 1e-4);
    // Twelve months of 4.345 weeks, 1 % a month, as lifetimes counts them when it is told the unit.
    let horizon =
        Horizon::new(Span::weeks(12.0 * 4.345)).step(Span::weeks(4.345)).discount(0.01, Span::weeks(4.345));
    let value = spending.expected_value(2, Some(22.35)).unwrap();
    close(horizon.value(&model, &first, value).unwrap(), 36.2785, 1e-3);
}

#[test]
fn the_unit_of_a_question_changes_no_answer() {
    let model = given(Family::BgNbd, BG);
    let in_days =
        Purchasing::with_parameters(Family::BgNbd, Unit::Day, [BG[0], BG[1] * 7.0, BG[2], BG[3]]).unwrap();
    let customer = Customer::new(2, Span::days(213.01), Span::days(272.02)).unwrap();
    for horizon in [Span::days(273.0), Span::weeks(39.0), Span::new(273.0 / 365.25, Unit::Year)] {
        close(model.expected(&customer, horizon), in_days.expected(&customer, horizon), 1e-12);
        close(model.expected(&customer, horizon), 1.225_910, 1e-6);
    }
}

/// A draw from gamma(shape, rate): Marsaglia and Tsang (2000).
fn gamma(random: &mut impl Rng, shape: f64, rate: f64) -> f64 {
    if shape < 1.0 {
        let lift: f64 = random.random::<f64>().powf(1.0 / shape);
        return gamma(random, shape + 1.0, rate) * lift;
    }
    let d = shape - 1.0 / 3.0;
    loop {
        let (u, w): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * w).cos();
        let v = (1.0 + normal / (9.0 * d).sqrt()).powi(3);
        if v > 0.0 && random.random::<f64>().ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v / rate;
        }
    }
}

/// A customer who bought first somewhere in the first half of 78 weeks, and the purchases in the 39 weeks after that.
fn buyer(random: &mut impl Rng, family: Family, [r, alpha, a, b]: [f64; 4]) -> (Customer, u32) {
    let observed = 39.0 + random.random::<f64>() * 39.0;
    let rate = gamma(random, r, alpha);
    let (mut leaves, mut p) = (f64::INFINITY, 0.0);
    if family == Family::ParetoNbd {
        leaves = -(1.0 - random.random::<f64>()).ln() / gamma(random, a, b);
    } else {
        let (x, y) = (gamma(random, a, 1.0), gamma(random, b, 1.0));
        p = x / (x + y);
        if family == Family::MbgNbd && random.random::<f64>() < p {
            leaves = 0.0;
        }
    }
    let (mut time, mut last, mut repeats, mut later) = (0.0, 0.0, 0, 0);
    loop {
        time += -(1.0 - random.random::<f64>()).ln() / rate;
        if time > leaves || time > observed + 39.0 {
            break;
        }
        if time <= observed {
            (last, repeats) = (time, repeats + 1);
        } else {
            later += 1;
        }
        if random.random::<f64>() < p {
            leaves = time;
        }
    }
    (weeks(repeats, last, observed), later)
}

fn buyers(seed: u64, count: usize, family: Family, parameters: [f64; 4]) -> Vec<(Customer, u32)> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..count).map(|_| buyer(&mut random, family, parameters)).collect()
}

#[test]
fn planted_parameters_are_found_within_their_errors() {
    let cases = [
        (Family::BgNbd, [0.8, 6.0, 0.9, 2.5]),
        (Family::MbgNbd, [0.8, 6.0, 0.9, 2.5]),
        (Family::ParetoNbd, [0.8, 6.0, 0.7, 14.0]),
    ];
    for (seed, (family, planted)) in cases.into_iter().enumerate() {
        let buyers = buyers(seed as u64 + 1, 6000, family, planted);
        let customers: Vec<Customer> = buyers.iter().map(|buyer| buyer.0).collect();
        let fit = Purchasing::fit(&customers, family, Unit::Week).unwrap();
        for (parameter, planted) in fit.parameters().iter().zip(planted) {
            let off = (parameter.value.ln() - planted.ln()) * parameter.value / parameter.std_error.unwrap();
            assert!(off.abs() < 3.5, "{family}: {parameter:?}, planted {planted}, {off} standard errors off");
            assert!(parameter.std_error.unwrap() < planted, "{family}: {parameter:?}");
        }
        // What it expects of the time after is what comes: within 3 % over some thousand purchases.
        let judged = hold_out(&fit, buyers.iter().copied(), Span::weeks(39.0)).unwrap();
        assert!((judged.expected / judged.found - 1.0).abs() < 0.05, "{family}: {judged:?}");
        assert!(judged.mean_error < judged.mean_error_of_rate, "{family}: {judged:?}");
        assert_eq!(judged.groups.iter().map(|group| group.customers).sum::<usize>(), 6000);
        // Neither order nor unit changes the fit.
        let mut turned = customers.clone();
        turned.reverse();
        assert_eq!(Purchasing::fit(&turned, family, Unit::Week).unwrap(), fit);
        let days = Purchasing::fit(&customers, family, Unit::Day).unwrap();
        close(days.parameters()[1].value, 7.0 * fit.parameters()[1].value, 1e-6);
        close(
            days.expected(&customers[0], Span::weeks(9.0)),
            fit.expected(&customers[0], Span::weeks(9.0)),
            1e-9,
        );
    }
}

#[test]
fn likelihood_and_probability_alive_agree_with_simulation() {
    // Of customers alike in MBG/NBD, the share that is still there is the probability alive.
    let planted = [0.8, 6.0, 0.9, 2.5];
    let model = given(Family::MbgNbd, planted);
    let buyers = buyers(77, 60_000, Family::MbgNbd, planted);
    for repeats in [0, 1, 2] {
        let (mut expected, mut found, mut count) = (0.0, 0.0, 0.0);
        for (customer, later) in buyers.iter().filter(|buyer| buyer.0.repeats() == repeats) {
            expected += model.expected(customer, Span::weeks(39.0));
            found += f64::from(*later);
            count += 1.0;
        }
        assert!(count > 1000.0 && (expected / found - 1.0).abs() < 0.06, "{repeats}: {expected} and {found}");
    }
}

#[test]
fn lists_where_most_bought_once_converge_or_say_why_not() {
    // Nine in ten bought once.
    let rare = buyers(5, 4000, Family::MbgNbd, [0.06, 6.0, 0.9, 2.5]);
    let customers: Vec<Customer> = rare.iter().map(|buyer| buyer.0).collect();
    let once = customers.iter().filter(|customer| customer.repeats() == 0).count();
    assert!(once > 3200, "{once}");
    let fit = Purchasing::fit(&customers, Family::MbgNbd, Unit::Week).unwrap();
    assert!(fit.parameters().iter().all(|parameter| parameter.std_error.unwrap().is_finite()), "{fit:?}");

    let nobody = vec![weeks(0, 0.0, 30.0); 500];
    let error = Purchasing::fit(&nobody, Family::BgNbd, Unit::Week).unwrap_err();
    assert_eq!(error.to_string(), "0 customers who came back: at least 2 are needed");

    // Everybody buys each week to the end: nobody leaves, and all buy alike.
    let regular: Vec<Customer> = (0..400).map(|at| weeks(30 + at % 3, 30.0, 30.1)).collect();
    for family in Family::ALL {
        match Purchasing::fit(&regular, family, Unit::Week).unwrap_err() {
            LifetimeError::RunsAway { meaning, .. } => assert!(!meaning.is_empty()),
            other => panic!("{family}: {other}"),
        }
    }
    assert!(Purchasing::best(&regular, Unit::Week).iter().all(|(_, fit)| fit.is_err()));
}

#[test]
fn the_best_family_is_the_one_that_was_planted() {
    let buyers = buyers(31, 8000, Family::MbgNbd, [0.8, 6.0, 0.9, 2.5]);
    let customers: Vec<Customer> = buyers.iter().map(|buyer| buyer.0).collect();
    let fits = Purchasing::best(&customers, Unit::Week);
    assert_eq!(fits[0].0, Family::MbgNbd);
}

#[test]
fn spending_of_planted_parameters_is_found() {
    let (p, q, v) = (5.0, 4.0, 18.0);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    let seen: Vec<(u32, f64)> = (0..4000)
        .map(|at| {
            let repeats = 1 + at % 6;
            let nu = gamma(&mut random, q, v);
            let sum: f64 = (0..repeats).map(|_| gamma(&mut random, p, nu)).sum();
            (repeats, sum / f64::from(repeats))
        })
        .chain([(0, f64::NAN), (3, 0.0), (2, -5.0)])
        .collect();
    let fit = GammaGamma::fit(seen.iter().copied()).unwrap();
    assert_eq!((fit.buyers(), fit.left_out()), (4000, 3));
    assert!(fit.correlation().unwrap().abs() < 0.05);
    for (parameter, planted) in fit.parameters().iter().zip([p, q, v]) {
        let off = (parameter.value - planted) / parameter.std_error.unwrap();
        assert!(off.abs() < 3.5, "{parameter:?}, planted {planted}");
    }
    // In cents the model is the same.
    let cents = GammaGamma::fit(seen.iter().map(|(x, m)| (*x, m * 100.0))).unwrap();
    close(cents.parameters()[2].value / fit.parameters()[2].value, 100.0, 1e-4);
    assert_eq!(GammaGamma::with_parameters([2.0, 0.9, 5.0]).unwrap().expected_value(0, None), None);
    // All alike: no spread to learn from.
    assert!(GammaGamma::fit((0..50).map(|at| (2 + at % 2, 30.0))).is_err());
}

#[test]
fn purchases_are_summarised_by_day_in_order_or_not_at_all() {
    let rows = [
        ("b", 3, 9.0),
        ("a", 0, 20.0),
        ("a", 0, 1.0),
        ("a", 7, 10.0),
        ("a", 7, 30.0),
        ("a", 10, 20.0),
        ("a", 25, 99.0),
    ];
    let mut any = Purchases::until(30).calibration_until(20).any_order();
    let mut ordered = Purchases::until(30).calibration_until(20);
    for (id, day, value) in rows {
        ordered.add(id, day, value).unwrap();
    }
    for (id, day, value) in rows.into_iter().rev() {
        any.add(id, day, value).unwrap();
    }
    // The first purchase after the calibration is nobody's whom it knows.
    ordered.add("late", 21, 5.0).unwrap();
    any.add("late", 21, 5.0).unwrap();
    let buyers = ordered.clone().finish().unwrap();
    assert_eq!(any.finish().unwrap(), buyers);
    assert_eq!(buyers.len(), 2);
    let a = &buyers[0];
    assert_eq!((a.id.as_str(), a.customer.repeats(), a.held_out), ("a", 2, Some(1)));
    assert_eq!((a.customer.last(), a.customer.observed()), (Span::days(10.0), Span::days(20.0)));
    assert_eq!((a.valued_repeats, a.mean_value), (2, Some(30.0)), "40 and 20; the first day is no repeat");
    assert_eq!((buyers[1].mean_value, buyers[1].customer.observed()), (None, Span::days(17.0)));

    let error = ordered.add("a", 6, 1.0).unwrap_err();
    assert_eq!(error, LifetimeError::OutOfOrder { row: 9, day: 6, last: 25 });
    assert!(matches!(ordered.add("a", 31, 1.0), Err(LifetimeError::AfterEnd { day: 31, end: 30, .. })));
    assert!(ordered.add("a", 26, f64::NAN).is_err());
    assert_eq!(ordered.rows(), 8, "what was refused is not counted");
}

#[test]
fn what_is_no_customer_or_no_horizon_is_refused() {
    let days = Span::days;
    for (repeats, last, observed) in [
        (0, days(1.0), days(9.0)),
        (1, days(0.0), days(9.0)),
        (1, days(10.0), days(9.0)),
        (0, days(0.0), days(-1.0)),
        (1, days(f64::NAN), days(9.0)),
    ] {
        assert!(Customer::new(repeats, last, observed).is_err(), "{repeats} {last} {observed}");
    }
    let (model, customer) = (given(Family::BgNbd, BG), weeks(1, 2.0, 9.0));
    assert!(Purchasing::with_parameters(Family::BgNbd, Unit::Week, [0.2, 4.0, -1.0, 2.0]).is_err());
    for horizon in [
        Horizon::new(days(0.0)),
        Horizon::new(days(f64::INFINITY)).discount(0.1, days(365.0)),
        Horizon::new(days(9.0)).discount(-1.0, days(365.0)),
        Horizon::new(days(9.0)).discount(0.1, days(0.0)),
        Horizon::new(days(1e9)).discount(0.1, days(1.0)).step(days(0.001)),
    ] {
        assert!(horizon.value(&model, &customer, 10.0).is_err(), "{horizon:?}");
    }
    assert_eq!(model.expected(&customer, days(0.0)), 0.0);
    // A discount that forgets nothing is none; a near one is near.
    let plain = Horizon::new(Span::weeks(52.0)).value(&model, &customer, 10.0).unwrap();
    let near = Horizon::new(Span::weeks(52.0))
        .discount(1e-9, Span::weeks(52.0))
        .value(&model, &customer, 10.0)
        .unwrap();
    close(near, plain, 1e-6);
    close(plain, 10.0 * model.expected(&customer, Span::weeks(52.0)), 1e-12);
}

/// The data and fits of lifetimes 0.11.3, where `MKT_TEST_LIFETIMES` names a Python that has it.
#[test]
fn cdnow_is_fitted_as_lifetimes_fits_it() {
    let Some(python) = std::env::var_os("MKT_TEST_LIFETIMES") else {
        println!("skipped: MKT_TEST_LIFETIMES names no Python with lifetimes");
        return;
    };
    let program = "
from lifetimes.datasets import load_cdnow_summary_data_with_monetary_value
for _, row in load_cdnow_summary_data_with_monetary_value().iterrows():
    print(int(row.frequency), row.recency, row['T'], row.monetary_value)
";
    let output = std::process::Command::new(python).args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<f64>> =
        text.lines().map(|line| line.split(' ').map(|cell| cell.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 2357);
    let customers: Vec<Customer> = rows.iter().map(|row| weeks(row[0] as u32, row[1], row[2])).collect();
    let published = [
        (Family::BgNbd, BG),
        (Family::MbgNbd, [0.524_838, 6.182_988, 0.891_356, 1.614_000]),
        (Family::ParetoNbd, PARETO),
    ];
    for (family, published) in published {
        let fit = Purchasing::fit(&customers, family, Unit::Week).unwrap();
        for (parameter, published) in fit.parameters().iter().zip(published) {
            // lifetimes stops at its tolerance; the farthest from its answer is β of Pareto/NBD, by 1.2e-4.
            assert!(
                (parameter.value / published - 1.0).abs() < 1.5e-4,
                "{family}: {parameter:?}, {published}"
            );
        }
        println!("{family}: {:?}", fit.parameters());
    }
    let spending = GammaGamma::fit(rows.iter().map(|row| (row[0] as u32, row[3]))).unwrap();
    assert_eq!(spending.buyers(), 946);
    for (parameter, published) in spending.parameters().iter().zip([6.248_802, 3.744_588, 15.447_748]) {
        assert!((parameter.value / published - 1.0).abs() < 1e-4, "{parameter:?}, {published}");
    }
    let mean =
        rows.iter().map(|row| spending.expected_value(row[0] as u32, Some(row[3])).unwrap()).sum::<f64>();
    close(mean / 2357.0, 35.2530, 1e-3);
}
