//! The bindings of the contract, generated once for all rules. Rules use the crate root's re-exports.
//!
//! They are not generated for each world of the contract: the interface `rule`, which all three worlds export, would be
//! generated three times, and its export macro may be in a crate only once. A component exports the interfaces of all worlds
//! that it is linked with. So one world here has the interfaces of every rule, three have those of one kind, and a rule links
//! two of them.

/// The imports and exports of every rule.
pub mod every {
    wit_bindgen::generate!({
        path: "../wit/0.2.0",
        inline: "
            package everyframe:sdk;
            world every {
                import everyframe:rules/types@0.2.0;
                import everyframe:rules/embeddings@0.2.0;
                import everyframe:rules/gallery@0.2.0;
                import everyframe:rules/state@0.2.0;
                import everyframe:rules/log@0.2.0;
                export everyframe:rules/rule@0.2.0;
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

/// The additional export of a matching policy.
pub mod matching {
    wit_bindgen::generate!({
        path: "../wit/0.2.0",
        inline: "
            package everyframe:sdk;
            world matching {
                export everyframe:rules/matching@0.2.0;
            }
        ",
        with: {
            "everyframe:rules/types@0.2.0": crate::bindings::every::everyframe::rules::types,
        },
        generate_all,
        pub_export_macro: true,
    });
}

/// The additional import and export of an unknown-person rule.
pub mod strangers {
    wit_bindgen::generate!({
        path: "../wit/0.2.0",
        inline: "
            package everyframe:sdk;
            world strangers {
                import everyframe:rules/recent-strangers@0.2.0;
                export everyframe:rules/strangers@0.2.0;
            }
        ",
        with: {
            "everyframe:rules/types@0.2.0": crate::bindings::every::everyframe::rules::types,
        },
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}

/// The additional export of an alert rule.
pub mod alerts {
    wit_bindgen::generate!({
        path: "../wit/0.2.0",
        inline: "
            package everyframe:sdk;
            world alerts {
                export everyframe:rules/alerts@0.2.0;
            }
        ",
        with: {
            "everyframe:rules/types@0.2.0": crate::bindings::every::everyframe::rules::types,
        },
        generate_all,
        pub_export_macro: true,
    });
}
