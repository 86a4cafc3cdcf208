//! Names of functions, as Gemini takes them.

/// The longest name of a function.
const MAX_NAME: usize = 64;

/// Gemini takes letters, digits, `_`, `.`, `:` and `-`, a letter or `_` at the start, 64 in all. Of a longer name the end
/// stands for the rest, so that two that begin alike stay two.
pub fn function_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let mut fitting: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if !fitting.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        fitting.insert(0, '_');
    }
    if fitting.len() > MAX_NAME {
        // FNV-1a: the same in every process and version.
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let rest = format!("_{:08x}", name.bytes().fold(0x811c_9dc5, mix));
        fitting.truncate(MAX_NAME - rest.len());
        fitting.push_str(&rest);
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_gemini_refuses_is_always_the_same_other_one() {
        for (name, fitting) in [("get.a:b-c", "get.a:b-c"), ("2nd tool", "_2nd_tool"), ("größe", "gr__e")] {
            assert_eq!(function_name(name), fitting);
        }
        let long = "m".repeat(70);
        let [one, other] = ["a", "b"].map(|end| function_name(&format!("{long}{end}")));
        assert_eq!((one.len(), other.len()), (64, 64));
        assert!(one != other && one == function_name(&format!("{long}a")));
    }
}
