//! What is refused of credentials.

use super::*;

#[test]
fn a_credential_that_is_missing_or_half_is_refused() {
    let client = "client_id = \"c\"\nclient_secret = \"hush\"\n";
    let own = "credentials.default";
    for (text, key, says) in [
        (
            STREAM.to_owned(),
            "streams.web.credentials",
            "stream web needs [credentials.default], which is missing; add it",
        ),
        (
            with_stream("credentials = \"prod\""),
            "streams.web.credentials",
            "[credentials.prod], which is missing; add it, or choose one of default",
        ),
        (
            with("[upstream]\ncredentials = \"prod\""),
            "upstream.credentials",
            "[credentials.prod], which is missing",
        ),
        (
            with_credential(""),
            own,
            "has no secret; set client_id and client_secret_file",
        ),
        (with_credential("client_id = \"c\""), own, "has no secret"),
        (
            with_credential("client_secret = \"hush\""),
            "credentials.default.client_id",
            "is missing",
        ),
        (
            with_credential("client_id = \"\"\nclient_secret = \"hush\""),
            "credentials.default.client_id",
            "is empty",
        ),
        (
            with_credential(&format!("{client}access_token = \"hush2\"")),
            own,
            "both a client secret and an access token",
        ),
        (
            with_credential("client_id = \"c\"\nclient_secret = \"\""),
            "credentials.default.client_secret",
            "is empty",
        ),
        (
            with_credential("client_id = \"c\"\nclient_secret = \"hush\\n\""),
            "credentials.default.client_secret",
            "on one line",
        ),
        (
            with_credential("access_token = \"Bearer hush\""),
            "credentials.default.access_token",
            "white space",
        ),
        (
            with_credential("access_token = \"hush\\r\\nX-Evil: 1\""),
            "credentials.default.access_token",
            "control character",
        ),
        (
            with_credential("client_id = \"c\\r\\nX-Evil: 1\"\nclient_secret = \"hush\""),
            "credentials.default.client_id",
            "control character",
        ),
        (
            with_credential("client_id = \"a b\"\nclient_secret = \"hush\""),
            "credentials.default.client_id",
            "goes into a header",
        ),
        (
            with_credential("client_id = \"ä\"\nclient_secret = \"hush\""),
            "credentials.default.client_id",
            "goes into a header",
        ),
        (
            with_credential(&format!("{client}scopes = []")),
            "credentials.default.scopes",
            "is empty",
        ),
        (
            with_credential(&format!("{client}scopes = [\"\"]")),
            "credentials.default.scopes",
            "\"\" is empty",
        ),
        (
            with_credential(&format!("{client}scopes = [\"a,b\"]")),
            "credentials.default.scopes",
            "\"a,b\" holds a comma or a space",
        ),
        (
            with_credential(&format!("{client}scopes = [\"a b\"]")),
            "credentials.default.scopes",
            "holds a comma or a space",
        ),
        (
            with_credential(&format!("{client}scopes = [\"a\\nb\"]")),
            "credentials.default.scopes",
            "control character",
        ),
        (
            with_credential(&format!("{client}token_url = \"ims\"")),
            "credentials.default.token_url",
            "is not a URL",
        ),
        (
            with_credential(&format!("{client}token_url = \"http://ims.example/\"")),
            "credentials.default.token_url",
            "allowed to loopback hosts only",
        ),
        (
            with_credential(&format!("{client}token_url = \"https://u:hush@ims.example/\"")),
            "credentials.default.token_url",
            "\"https://***@ims.example/\": it has a user or password",
        ),
        (
            with_credential(&format!("{client}token_url = \"https://ims.example/#\"")),
            "credentials.default.token_url",
            "fragment",
        ),
        (
            with_credential("access_token = \"hush\"\nscopes = [\"a\"]"),
            "credentials.default.scopes",
            "of no use with an access token",
        ),
        (
            with_credential("access_token = \"hush\"\ntoken_url = \"https://a.example\""),
            "credentials.default.token_url",
            "of no use with an access token",
        ),
        (
            with_credential("access_token_file = \"gone\""),
            "credentials.default.access_token_file",
            "there is no such file (/nonexistent/gone)",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn a_secret_both_inline_and_in_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "hush").unwrap();
    for (inline, file) in [
        ("client_secret", "client_secret_file"),
        ("access_token", "access_token_file"),
    ] {
        let text = with_credential(&format!("client_id = \"c\"\n{inline} = \"hush\"\n{file} = \"secret\""));
        let faults = load_str(&text, Format::Toml, [], directory.path()).unwrap_err();
        let expected = format!("credentials.default.{file} = \"secret\": {inline} is set as well; keep one of the two");
        assert_eq!(faults.to_string(), expected);
    }
}
