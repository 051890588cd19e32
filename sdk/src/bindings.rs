//! The contract, generated once for all rules. Rules use what the crate's root re-exports.
//!
//! Not world by world: `rule`, which all three export, would be generated three times, and its export macro can
//! be in a crate only once. A component's exports are those of all the worlds that it was linked with, so it is
//! cut here into what every rule has and what one kind has, and each kind links the two.

/// What every rule imports and exports.
pub mod every {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        inline: "
            package everyframe:sdk;
            world every {
                import everyframe:rules/types@0.1.0;
                import everyframe:rules/embeddings@0.1.0;
                import everyframe:rules/gallery@0.1.0;
                import everyframe:rules/state@0.1.0;
                import everyframe:rules/log@0.1.0;
                export everyframe:rules/rule@0.1.0;
            }
        ",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}

pub use every::everyframe::rules as imports;
pub use every::exports::everyframe::rules::rule;

/// What a matching policy exports besides.
pub mod matching {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        inline: "
            package everyframe:sdk;
            world matching {
                export everyframe:rules/matching@0.1.0;
            }
        ",
        with: {
            "everyframe:rules/types@0.1.0": crate::bindings::every::everyframe::rules::types,
        },
        generate_all,
        pub_export_macro: true,
    });
}

/// What an unknown-person rule exports besides.
pub mod strangers {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        inline: "
            package everyframe:sdk;
            world strangers {
                export everyframe:rules/strangers@0.1.0;
            }
        ",
        with: {
            "everyframe:rules/types@0.1.0": crate::bindings::every::everyframe::rules::types,
        },
        generate_all,
        pub_export_macro: true,
    });
}

/// What an alert rule exports besides.
pub mod alerts {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        inline: "
            package everyframe:sdk;
            world alerts {
                export everyframe:rules/alerts@0.1.0;
            }
        ",
        with: {
            "everyframe:rules/types@0.1.0": crate::bindings::every::everyframe::rules::types,
        },
        generate_all,
        pub_export_macro: true,
    });
}
