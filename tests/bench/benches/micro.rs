//! What single steps of a request cost, through the library's public interface. The two steps that it does not show
//! are stood in for, and are named so: the lookup in a data thread's own cache (`known cookie` is everything around
//! it), and the decoding of WorkOS' answer (`refresh` decodes into a type of this file with the same fields).
//! Whole requests are measured by the program `load`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot be set up has to stop")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use vestibule::auth::access_token::verify;
use vestibule::auth::cookie::{Candidates, RequestCookies};
use vestibule::auth::entropy::Entropy;
use vestibule::auth::path::RequestPath;
use vestibule::auth::presented::{Presented, Standing};
use vestibule::standing::StandingTable;

use crate::material::{Material, NOW, ORDINARY, SPLIT};

#[path = "micro/material.rs"]
mod material;

fn cookies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cookie");
    for (name, shape) in [("5 roles, 20 permissions", ORDINARY), ("200 permissions, split", SPLIT)] {
        let material = Material::new(shape);
        let session = material.session();
        let context = material.context();
        let sealed = context.seal_session(&session, Entropy::from_bytes([7; 12]), NOW).unwrap();
        assert_eq!(sealed.part_count() > 1, shape == SPLIT, "the shapes are what their names say");
        group.bench_function(format!("open, {name}"), |bencher| {
            bencher.iter(|| context.open_session(black_box(sealed.as_str())).unwrap());
        });
        group.bench_function(format!("seal, {name}"), |bencher| {
            let nonce = || Entropy::from_bytes([7; 12]);
            bencher.iter(|| context.seal_session(black_box(&session), nonce(), NOW).unwrap());
        });
        let open = material.open(session.clone());
        let standing = StandingTable::default();
        let headers = material.request_headers(&sealed);
        group.bench_function(format!("known cookie, {name}"), |bencher| {
            bencher.iter(|| {
                let carried = RequestCookies::read(black_box(&headers), context.names);
                let Candidates::Texts(texts) = carried.session_texts() else { return None };
                let same = texts.first().is_some_and(|text| **text == *sealed.as_str());
                let presented = Presented::Session(open.clone(), standing.of(&open.session));
                same.then_some(presented)
            });
        });
    }
    group.finish();
}

fn tokens(criterion: &mut Criterion) {
    let material = Material::new(ORDINARY);
    let answer = material.answer();
    let token = material.token();
    let mut group = criterion.benchmark_group("token");
    group.bench_function("RS256 verification", |bencher| {
        bencher.iter(|| verify(black_box(&token), &material.keys, &material.issuers, NOW).unwrap());
    });
    let session = material.session();
    let context = material.context();
    group.bench_function("refresh: decode, verify, renew, seal", |bencher| {
        bencher.iter(|| {
            let tokens = material.decode(black_box(&answer));
            let renewed = session.renewed(tokens, material.gate.wanted(), NOW).unwrap();
            context.seal_session(&renewed, Entropy::from_bytes([7; 12]), NOW).unwrap()
        });
    });
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    let material = Material::new(ORDINARY);
    let open = material.open(material.session());
    let presented = Presented::Session(open, Standing::Live);
    let mut group = criterion.benchmark_group("decision");
    for (name, path) in [("first", "/area-0/page"), ("last", "/area-19/page"), ("none", "/elsewhere")] {
        let path = RequestPath::parse(path).unwrap();
        let policy = material.gate.policy();
        group.bench_function(format!("resolve, 20 routes, {name} matches"), |bencher| {
            bencher.iter(|| policy.resolve(black_box(&path), &Method::GET, "app.example.com").unwrap());
        });
        let destination = policy.resolve(&path, &Method::GET, "app.example.com").unwrap();
        let facts = material::facts(&path, destination);
        group.bench_function(format!("assess, 20 routes, {name} matches"), |bencher| {
            bencher.iter(|| material.gate.assess(black_box(&facts), &presented, NOW));
        });
    }
    group.finish();
}

fn paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path");
    let spellings = [
        ("plain", "/reports/2026/november/summary.html"),
        ("escaped", "/caf%C3%A9/%7Euser/a%20file"),
        ("several readings", "/a//b;v=1/%2541/c"),
    ];
    for (name, text) in spellings {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let path = RequestPath::parse(black_box(text)).unwrap();
                path.readings().unwrap().len()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = micro;
    // Less than a minute for all of them.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = cookies, tokens, decisions, paths
}
criterion_main!(micro);
