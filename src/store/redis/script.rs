//! What Redis does in one step, so that no two replicas come between each other. Written for every server since
//! version 6; numbers are compared byte by byte, since an answer may be any text to Lua.

/// A script, and what a server that has seen it before knows it by.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) code: &'static str,
    pub(super) sha: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        let sha = redis::Script::new(code).get_hash().to_owned();
        Self { code, sha }
    }
}

/// All scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) keep: Script,
    pub(super) settle: Script,
    pub(super) release: Script,
    pub(super) tell: Script,
    pub(super) turn: Script,
    pub(super) passed: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: Script::new(CLAIM),
            keep: Script::new(KEEP),
            settle: Script::new(SETTLE),
            release: Script::new(RELEASE),
            tell: Script::new(TELL),
            turn: Script::new(TURN),
            passed: Script::new(PASSED),
        }
    }
}

/// Answers of `claim`, `keep` and `settle`.
pub(super) const GONE: i64 = 0;
pub(super) const NEWER: i64 = 1;
pub(super) const DONE: i64 = 2;
pub(super) const ELSEWHERE: i64 = 3;

/// KEYS: record, lease. ARGV: generation in decimal, ticket, lease in milliseconds.
const CLAIM: &str = r"
local record = redis.call('GET', KEYS[1])
if not record then return {0, ''} end
local a, b, c, d = string.byte(record, 6, 9)
if ((a * 256 + b) * 256 + c) * 256 + d > tonumber(ARGV[1]) then return {1, record} end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {2, ''} end
return {3, ''}";

/// KEYS: record. ARGV: generation, state, record, milliseconds to the session's end.
const KEEP: &str = r"
local record = redis.call('GET', KEYS[1])
if not record then return {0, ''} end
local a, b, c, d = string.byte(record, 6, 9)
local stored = ((a * 256 + b) * 256 + c) * 256 + d
local new = tonumber(ARGV[1])
if stored > new or (stored == new and string.sub(record, 10, 17) ~= ARGV[2]) then return {1, ''} end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return {2, ''}";

/// KEYS: record, lease. ARGV: generation, state, record, milliseconds to the session's end, ticket or nothing,
/// channel, news.
const SETTLE: &str = r"
local function done()
  if redis.call('GET', KEYS[2]) == ARGV[5] then redis.call('DEL', KEYS[2]) end
  redis.call('PUBLISH', ARGV[6], ARGV[7])
end
local record = redis.call('GET', KEYS[1])
if not record then
  done()
  return {0, ''}
end
local a, b, c, d = string.byte(record, 6, 9)
local stored = ((a * 256 + b) * 256 + c) * 256 + d
local new = tonumber(ARGV[1])
if stored > new or (stored == new and string.sub(record, 10, 17) ~= ARGV[2]) then
  done()
  return {1, record}
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
done()
return {2, ''}";

/// KEYS: lease. ARGV: ticket, channel, news.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 1";

/// KEYS: words. ARGV: most entries, milliseconds they are kept, channel, news, fields and values in turn.
const TELL: &str = r"
local time = redis.call('TIME')
local oldest = (tonumber(time[1]) - math.floor(tonumber(ARGV[2]) / 1000)) * 1000
local entry = {'XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*'}
for index = 5, #ARGV do entry[#entry + 1] = ARGV[index] end
local id = redis.call(unpack(entry))
if oldest > 0 then
  local first = redis.call('XRANGE', KEYS[1], '-', string.format('%.0f', oldest), 'COUNT', 100)
  for _, one in ipairs(first) do redis.call('XDEL', KEYS[1], one[1]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return id";

/// KEYS: poller, cursor. ARGV: who asks, milliseconds.
const TURN: &str = r"
local poller = redis.call('GET', KEYS[1])
if poller and poller ~= ARGV[1] then return {0, ''} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, redis.call('GET', KEYS[2]) or ''}";

/// KEYS: poller, cursor. ARGV: who writes, event, milliseconds.
const PASSED: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_hash() {
        assert_eq!(Script::new("return 1").sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
