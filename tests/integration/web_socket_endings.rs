//! How a WebSocket ends: with its session, with the process, or with either side; always between two frames and
//! with a word to both sides (RFC 6455 §5.5.1, §7).

use vestibule::app::Shutdown;

use crate::support::{minutes, patience, secs};
use crate::web_sockets::{KEY, Scene, frame, passes};

/// Reads a masked Close frame from a client and gives its code and reason (§5.5.1).
pub(crate) fn close_from_client(bytes: &[u8]) -> (u16, String) {
    let [0x88, length, a, b, c, d, payload @ ..] = bytes else { panic!("a masked close frame: {bytes:?}") };
    assert_eq!(usize::from(length & 0x7f), payload.len());
    assert_eq!(length & 0x80, 0x80, "a client's frame is masked");
    let key = [*a, *b, *c, *d];
    let plain: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    (u16::from_be_bytes([plain[0], plain[1]]), String::from_utf8(plain[2..].to_vec()).unwrap())
}

pub(crate) fn close_from_server(bytes: &[u8]) -> (u16, String) {
    let [0x88, length, a, b, reason @ ..] = bytes else { panic!("a close frame: {bytes:?}") };
    assert_eq!(usize::from(*length), reason.len() + 2, "a server's frame is not masked");
    (u16::from_be_bytes([*a, *b]), String::from_utf8(reason.to_vec()).unwrap())
}

#[test]
fn a_sign_out_closes_both_sides_within_a_second() {
    for threads in [1, 3] {
        let mut scene = Scene::with(&format!("[server]\nthreads = {threads}"));
        let (mut client, mut line) = scene.open("/live/ws");
        let (mut other, mut other_line) = scene.open("/live/ws");
        passes(&mut client, &mut line);
        passes(&mut other, &mut other_line);
        scene.sign_out();
        scene.world.advance(secs(1));
        for (client, line) in [(&mut client, &mut line), (&mut other, &mut other_line)] {
            let expected = (1008, "session ended".to_owned());
            assert_eq!(close_from_server(&client.read_to_end()), expected);
            assert_eq!(close_from_client(&line.read_to_end()), expected);
        }
        assert_eq!(scene.refused("/live/ws", "Origin: http://app.localhost\r\n"), 401);
    }
}

#[test]
fn a_frame_under_way_is_finished_before_the_close_frame() {
    let mut scene = Scene::start();
    let (mut client, mut line) = scene.open("/live/ws");
    let (question, answer) = (frame(0x82, &[7; 300], KEY), frame(0x82, &[8; 300], None));
    client.send(&question[..100]);
    assert_eq!(line.read(100), question[..100]);
    line.send(&answer[..2]);
    assert_eq!(client.read(2), answer[..2]);
    scene.sign_out();
    // What follows the frame under way is not for anybody any more.
    client.send([&question[100..], &frame(0x81, b"too late", KEY)].concat());
    line.send([&answer[2..], &frame(0x81, b"too late", None)].concat());
    let reason = "session ended".len();
    let got = client.read(302 + 4 + reason);
    assert_eq!(got[..302], answer[2..]);
    assert_eq!(close_from_server(&got[302..]).0, 1008);
    let rest = question.len() - 100;
    let got = line.read(rest + 8 + reason);
    assert_eq!(got[..rest], question[100..]);
    assert_eq!(close_from_client(&got[rest..]).0, 1008);
    scene.world.advance(secs(2));
    client.expect_closed();
    line.expect_closed();
}

#[test]
fn a_frame_that_is_never_finished_does_not_keep_it_open() {
    let mut scene = Scene::start();
    let (mut client, mut line) = scene.open("/live/ws");
    let half = &frame(0x82, &[7; 300], KEY)[..100];
    client.send(half);
    assert_eq!(line.read(100), half);
    scene.sign_out();
    scene.world.advance(secs(3));
    line.expect_closed();
    assert_eq!(close_from_server(&client.read_to_end()).0, 1008);
}

#[test]
fn the_absolute_end_of_a_session_closes_it_and_the_end_of_an_access_token_does_not() {
    let mut scene = Scene::with("[session]\nlifetime = \"1h\"\nidle_timeout = \"1h\"");
    let (mut client, mut line) = scene.open("/live/ws");
    scene.world.advance(minutes(59));
    passes(&mut client, &mut line);
    scene.world.advance(minutes(1));
    assert_eq!(close_from_server(&client.read_to_end()), (1008, "session ended".to_owned()));
    assert_eq!(close_from_client(&line.read_to_end()).0, 1008);
    assert_eq!(scene.world.workos.refreshes().len(), 0);
}

#[test]
fn a_drain_says_goodbye_to_both_sides() {
    let mut scene = Scene::start();
    let (mut client, mut line) = scene.open("/live/ws");
    let (mut public, mut public_line) = scene.open("/open/ws");
    scene.world.app().order(Shutdown::Soon);
    for (client, line) in [(&mut client, &mut line), (&mut public, &mut public_line)] {
        let expected = (1001, "going away".to_owned());
        assert_eq!(close_from_server(&client.read_to_end()), expected);
        assert_eq!(close_from_client(&line.read_to_end()), expected);
    }
}

#[test]
fn a_side_that_has_closed_is_answered_by_the_other() {
    let mut scene = Scene::start();
    // The client says goodbye, as the standard wants it.
    let (mut client, mut line) = scene.open("/live/ws");
    let goodbye = frame(0x88, &1000_u16.to_be_bytes(), KEY);
    client.send(&goodbye);
    assert_eq!(line.read(goodbye.len()), goodbye);
    let answer = frame(0x88, &1000_u16.to_be_bytes(), None);
    line.send(&answer);
    drop(line);
    assert_eq!(client.read_to_end(), answer);
    // It just leaves.
    let (client, mut line) = scene.open("/live/ws");
    client.hang_up();
    line.expect_closed();
    // The application just leaves.
    let (mut client, line) = scene.open("/live/ws");
    drop(line);
    client.expect_closed();
    // One half closes, and the other goes on for a while only.
    let (mut client, mut line) = scene.open("/live/ws");
    client.finish_sending();
    line.expect_closed();
    let late = frame(0x81, b"late", None);
    line.send(&late);
    assert_eq!(client.read(late.len()), late);
    scene.world.advance(secs(7));
    client.expect_closed();
}

#[test]
fn a_close_frame_is_not_sent_behind_another() {
    let mut scene = Scene::start();
    let (mut client, mut line) = scene.open("/live/ws");
    let goodbye = frame(0x88, &1000_u16.to_be_bytes(), None);
    line.send(&goodbye);
    assert_eq!(client.read(goodbye.len()), goodbye);
    scene.sign_out();
    scene.world.advance(secs(1));
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(close_from_client(&line.read_to_end()).0, 1008);
}

#[test]
fn open_ones_are_counted() {
    let mut scene = Scene::start();
    let (client, mut line) = scene.open("/live/ws");
    let (_other, _other_line) = scene.open("/live/ws");
    let open = || scene.world.app().metric("vestibule_streams_open");
    patience::until("two streams", || (open() - 2.0).abs() < 0.1);
    client.hang_up();
    line.expect_closed();
    drop(line);
    patience::until("one stream less", || (open() - 1.0).abs() < 0.1);
}
