//! Everything that our pages and letters say, section by section as the files under `pages/words` have it. A word that
//! a file lacks, or that no page says, is found before anything runs: by a test that reads every file, and by the
//! compiler.

use serde::Deserialize;

use crate::server::language::phrase::Phrase;

/// What one language says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// What the language calls itself.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the file"))]
    pub(crate) name: Phrase,
    pub(crate) deed: Deeds,
    pub(crate) code: Codes,
    pub(crate) sign_in: SignIn,
    pub(crate) step: Step,
    pub(crate) hitch: Hitches,
    pub(crate) link: Link,
    pub(crate) letter: Letter,
    pub(crate) callback: Callback,
    pub(crate) sign_out: SignOut,
    pub(crate) session: Session,
    pub(crate) refusal: Refusals,
    pub(crate) fault: Faults,
    pub(crate) objection: Objections,
}

/// A heading and a text beneath it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    pub(crate) title: Phrase,
    pub(crate) text: Phrase,
}

/// Declares sections: tables whose keys are the fields, all of one type.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident of $kind:ty { $($field:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind),+
        }
    )+};
}

sections! {
    /// `[deed]`: buttons and links that stand on several pages.
    Deeds of Phrase {
        sign_in, sign_in_apart, sign_in_anew, sign_in_as_another, sign_out, try_again, start_again, show_session,
        switch_organization,
    }

    /// `[code]`: what stands before a code that support can look up.
    Codes of Phrase { request, decision, error }

    /// `[sign_in]`: our own sign-in page.
    SignIn of Phrase {
        title, email, remember_me, email_me_a_code, email_me_a_link, continue_with, single_sign_on, or, help, error,
    }

    /// `[step]`: the steps on the way in.
    Step of Phrase {
        code_title, code_text, code, go_on, send_again, start_over, verify_title, verify_text, enrol_title,
        enrol_text, enrol_picture, enrol_key, enrol_open, totp_title, totp_text, organization_title,
        organization_text,
    }

    /// `[hitch]`: why a step does not go on.
    Hitches of Phrase {
        bad_email, bad_code, wrong_code, code_expired, code_used, code_tries, attempt_over, overtaken, no_choice,
        too_many_requests, unavailable, refused,
    }

    /// `[link.sent]`: a link is on its way.
    LinkSent of Phrase { title, text, how, another }

    /// `[link.other_browser]`: the link is another browser's.
    LinkElsewhere of Phrase { title, text, again }

    /// `[letter]`: the mail with a link. Its places are those of [`Template`](crate::auth::magic_link::Template).
    Letter of Phrase { subject, text }

    /// `[callback.entered]`: somebody is signed in and goes on.
    Entered of Phrase { title, text, go_on }

    /// `[session]`: the page about one's own session.
    Session of Phrase {
        title, signed_in_as, impersonated, address, user, organization, roles, permissions, signed_in_with,
        signed_in, ends, ends_if_unused, renew, application, lacking, current, organizations, switch, switch_to,
        sessions, since, until, end, end_on, end_on_since, browser_on_system, unknown_device,
    }

    /// `[fault.unclear]`: the ways in which an address is not clear.
    UnclearAddress of Phrase { title, path, readings, encoded_slash, callback, link_callback }

    /// `[objection]`: why one's own session is not changed as one asked.
    Objections of Said {
        not_a_member, organization_fixed, unknown_session, own_session, impersonated, not_renewable,
        organization_unclear, session_unclear,
    }
}

/// `[link]`: signing in with a link by mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    pub(crate) go_on: Phrase,
    pub(crate) sent: LinkSent,
    pub(crate) press: Said,
    pub(crate) other_browser: LinkElsewhere,
    pub(crate) used: Said,
    pub(crate) expired: Said,
    pub(crate) unreadable: Said,
}

/// `[callback]`: coming back from the sign-in service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Callback {
    pub(crate) cancelled: Said,
    pub(crate) not_set_up: Said,
    pub(crate) trouble: Said,
    pub(crate) unknown: Said,
    pub(crate) failed: Said,
    pub(crate) unavailable: Said,
    pub(crate) step: Said,
    pub(crate) entered: Entered,
    pub(crate) circle: Circle,
}

/// `[callback.circle]`: the sign-in goes round in circles.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Circle {
    pub(crate) title: Phrase,
    pub(crate) text: Phrase,
    /// The usual causes.
    pub(crate) causes: [Phrase; 4],
    pub(crate) again: Phrase,
}

/// `[sign_out]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignOut {
    pub(crate) title: Phrase,
    /// The session is ours alone.
    pub(crate) here: Phrase,
    /// There is one at WorkOS behind it.
    pub(crate) everywhere: Phrase,
    pub(crate) stay: Phrase,
    /// There is no session.
    pub(crate) nobody: Said,
    /// There is none any more.
    pub(crate) done: Said,
}

/// `[refusal]`: why somebody is not let in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusals {
    /// How a person goes on whose request cannot be sent to sign in itself: a frame, or a form.
    pub(crate) how_to_sign_in: Phrase,
    pub(crate) sign_in_required: Said,
    pub(crate) invalid_credential: Said,
    pub(crate) forbidden: Said,
    pub(crate) other_organization: Said,
    pub(crate) route_closed: Said,
    pub(crate) cross_origin_web_socket: Said,
    pub(crate) origin_not_allowed: Said,
    pub(crate) unavailable: Said,
    pub(crate) session_too_large: Said,
}

/// `[fault]`: what is wrong with a request, or went wrong with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Faults {
    pub(crate) malformed: Said,
    pub(crate) unclear: UnclearAddress,
    pub(crate) method_refused: Said,
    pub(crate) method_not_allowed: Said,
    pub(crate) no_such_endpoint: Said,
    pub(crate) other_host: Said,
    pub(crate) cross_site: Said,
    pub(crate) body_too_large: Said,
    pub(crate) body_kind: Said,
    pub(crate) body_broken: Said,
    pub(crate) bad_signature: Said,
    pub(crate) overloaded: Said,
    pub(crate) upstream_unreachable: Said,
    pub(crate) body_too_slow: Said,
    pub(crate) upstream_too_late: Said,
    pub(crate) internal: Said,
}
