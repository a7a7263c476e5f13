//! Keys and digests as hexadecimal digits.

/// The 32 bytes that 64 hexadecimal digits name; `None` for anything else.
pub fn decode32(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect::<Option<_>>()?;
    let pairs: &[[u8; 2]; 32] = digits.as_chunks::<2>().0.try_into().ok().filter(|_| digits.len() == 64)?;
    Some(pairs.map(|[high, low]| high << 4 | low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::journal::hex;

    #[test]
    fn keys_read_back_and_nothing_else_is_one() {
        let key: [u8; 32] = std::array::from_fn(|at| (at * 37) as u8);
        assert_eq!(decode32(&hex(&key)), Some(key));
        assert_eq!(decode32(&hex(&key).to_uppercase()), Some(key));
        for wrong in ["", "0", &hex(&key)[1..], &format!("{}00", hex(&key)), &hex(&key).replace('0', "g")] {
            assert_eq!(decode32(wrong), None, "{wrong}");
        }
    }
}
