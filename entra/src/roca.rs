//! CVE-2017-15361 ("ROCA"): keys whose primes the Infineon library chose from a small family.
//!
//! Such a modulus is a power of 65537 modulo every small prime. A random one passes all the tests
//! below with a probability under 2^-27 (Nemec et al., "The Return of Coppersmith's Attack", CCS
//! 2017, section 2.3).

/// The odd primes up to 167. Their product divides the parameter of every key size of the library.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Returns whether a modulus, big-endian, has the fingerprint.
pub(crate) fn is_vulnerable(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power_of_65537(remainder(modulus, *prime), *prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, byte| ((rest << 8) | u32::from(*byte)) % prime)
}

fn is_power_of_65537(value: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == value {
            return true;
        }
        power = power * 65_537 % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_the_generator_have_the_fingerprint() {
        // 65537^k is a power of the generator modulo every prime; one more than it is not.
        let number = 65_537_u128.pow(7).to_be_bytes();
        assert!(is_vulnerable(&number));
        assert!(!is_vulnerable(&(65_537_u128.pow(7) + 2).to_be_bytes()));
    }

    #[test]
    fn a_prime_factor_is_no_power() {
        assert!(!is_power_of_65537(0, 11));
    }
}
