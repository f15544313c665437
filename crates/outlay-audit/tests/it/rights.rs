//! Licences, notices and policies: what is found, what only looks like it, and what is made of it.

use outlay_audit::{
    Category, Decision, Evidence, Licence, NoticeKind, Obligation, Origin, Policy, Use, is_missing,
    rights,
};
use proptest::prelude::*;

fn spdx(id: &str) -> Licence {
    Licence::Spdx(id.to_owned())
}

#[test]
fn fields_are_read_as_people_write_them() {
    let cases = [
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("Apache 2.0", "Apache-2.0"),
        ("apache-2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache2", "Apache-2.0"),
        ("apache", "LicenseRef-Apache"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc by sa 4", "CC-BY-SA-4.0"),
        ("CC-BY-SA", "LicenseRef-CC-BY-SA"),
        ("CC BY-SA-NC 4.0", "CC-BY-NC-SA-4.0"),
        (
            "Creative Commons Attribution-ShareAlike 3.0 Unported License",
            "CC-BY-SA-3.0",
        ),
        (
            "Creative Commons Attribution 4.0 International",
            "CC-BY-4.0",
        ),
        (
            "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
            "CC-BY-NC-ND-4.0",
        ),
        ("cc-by-3.0-de", "CC-BY-3.0-DE"),
        ("cc-by-sa-3.0-us", "LicenseRef-CC-BY-SA-3.0-US"),
        (
            "https://creativecommons.org/licenses/by-nc/4.0/",
            "CC-BY-NC-4.0",
        ),
        (
            "http://creativecommons.org/licenses/by-sa/3.0/deed.en",
            "CC-BY-SA-3.0",
        ),
        (
            "https://creativecommons.org/licenses/by/3.0/fr/",
            "LicenseRef-CC-BY-3.0-FR",
        ),
        (
            "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
            "CC0-1.0",
        ),
        ("https://opensource.org/licenses/MIT", "MIT"),
        (
            "https://www.opensource.org/license/bsd-3-clause/",
            "BSD-3-Clause",
        ),
        (
            "https://www.apache.org/licenses/LICENSE-2.0.txt",
            "Apache-2.0",
        ),
        (
            "https://www.gnu.org/licenses/old-licenses/gpl-2.0.en.html",
            "GPL-2.0-only",
        ),
        ("https://spdx.org/licenses/EPL-2.0.html", "EPL-2.0"),
        ("https://opendatacommons.org/licenses/odbl/1-0/", "ODbL-1.0"),
        (
            "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)",
            "CC-BY-4.0",
        ),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPL v2", "GPL-2.0-only"),
        ("GNU GPL v2", "GPL-2.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GNU General Public License v3 or later", "GPL-3.0-or-later"),
        (
            "GNU Lesser General Public License v2.1 only",
            "LGPL-2.1-only",
        ),
        ("LGPLv3", "LGPL-3.0-only"),
        ("agpl-3.0", "AGPL-3.0-only"),
        ("gpl", "LicenseRef-GPL"),
        ("BSD 3-clause", "BSD-3-Clause"),
        ("3-Clause BSD License", "BSD-3-Clause"),
        ("New BSD License", "BSD-3-Clause"),
        ("BSD", "LicenseRef-BSD"),
        ("odc-by", "ODC-By-1.0"),
        ("odbl", "ODbL-1.0"),
        ("pddl", "PDDL-1.0"),
        ("cc0", "CC0-1.0"),
        ("cc0-1.0", "CC0-1.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("bsl-1.0", "BSL-1.0"),
        ("openrail", "LicenseRef-OpenRAIL"),
        ("llama3.1", "LicenseRef-Llama-3.1"),
        (
            "Llama 3.1 Community License Agreement",
            "LicenseRef-Llama-3.1",
        ),
        ("gemma", "LicenseRef-Gemma"),
        ("Public Domain", "LicenseRef-public-domain"),
        ("UNLICENSED", "LicenseRef-proprietary"),
        ("The Unlicense", "Unlicense"),
        ("Released under the MIT License.", "MIT"),
        ("This dataset is licensed under CC BY 4.0", "CC-BY-4.0"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("mit or apache 2.0", "MIT OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        (
            "(MIT OR Apache-2.0) AND CC-BY-4.0",
            "(MIT OR Apache-2.0) AND CC-BY-4.0",
        ),
        (
            "GPL-2.0 with classpath-exception-2.0",
            "GPL-2.0-only WITH Classpath-exception-2.0",
        ),
        ("GPL v2 or later AND MIT", "GPL-2.0-or-later AND MIT"),
        ("Apache-2.0+", "Apache-2.0+"),
        ("LicenseRef-own-1 OR MIT", "LicenseRef-own-1 OR MIT"),
        ("[\"mit\", \"apache-2.0\"]", "MIT AND Apache-2.0"),
        ("mit, cc-by-4.0", "MIT AND CC-BY-4.0"),
        ("mit\nMIT", "MIT"),
        ("MIT OR ISC; CC0", "(MIT OR ISC) AND CC0-1.0"),
    ];
    for (said, id) in cases {
        assert_eq!(Licence::read(said), spdx(id), "{said}");
    }
}

#[test]
fn what_is_not_surely_known_stays_unknown() {
    for said in [
        "other",
        "unknown",
        "cc",
        "bsl",
        "custom",
        "see README",
        "not MIT",
        "MIT for code, other for data",
        "mit, other",
        "MIT OR something",
        "MIT AND",
        "(MIT OR",
        "MIT)) OR ((ISC",
        "MIT WITH Classpath",
        "cc-by-5.0",
        "gpl-4.0",
        "apache-3.0",
        "MIT Press",
        "https://example.org/license",
        "https://creativecommons.org/",
        "free",
        "open source",
        "[CC BY 4.0](https://creativecommons.org/licenses/by-nc/4.0/)",
        "NOASSERTION",
        "1",
        "license",
    ] {
        assert_eq!(Licence::read(said), Licence::Unknown(said.to_owned()));
    }
    for said in ["", "  ", "none", "N/A", "null", "-"] {
        assert_eq!(Licence::read(said), Licence::Missing, "{said}");
    }
}

/// SPDX's own texts of the licences that are told by their words.
#[test]
fn licences_are_known_by_their_own_words() {
    let ids = [
        "MIT",
        "MIT-0",
        "X11",
        "JSON",
        "NCSA",
        "ISC",
        "0BSD",
        "BSD-1-Clause",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-3-Clause-Clear",
        "BSD-4-Clause",
        "Apache-2.0",
        "MPL-1.1",
        "MPL-2.0",
        "EPL-1.0",
        "EPL-2.0",
        "BSL-1.0",
        "Zlib",
        "Unlicense",
        "WTFPL",
        "CC0-1.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-ND-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-NC-ND-4.0",
        "GPL-2.0-only",
        "GPL-3.0-only",
        "LGPL-2.0-only",
        "LGPL-2.1-only",
        "LGPL-3.0-only",
        "AGPL-3.0-only",
        "GFDL-1.2-only",
        "GFDL-1.3-only",
    ];
    for id in ids {
        let text = spdx::license_id(id).expect(id).text();
        let found = rights(text);
        let own: Vec<_> = found
            .licences
            .iter()
            .filter(|one| one.evidence < Evidence::Link)
            .collect();
        assert!(
            own.len() == 1 && own[0].licence == spdx(id),
            "{id}: {:?}",
            found.licences
        );
        // The words alone count: neither case nor line breaks nor marks of comments.
        let shouted = text.to_uppercase().replace('\n', "\n// ");
        let again = rights(&shouted).stated();
        assert_eq!(again, spdx(id), "{id} in capitals");
    }
}

/// Over all of SPDX's texts: what a licence is taken for is never allowed where the licence itself is not.
#[test]
fn no_licence_is_taken_for_a_freer_one() {
    let policy = policy(Use::Commercial);
    let mut wrong = Vec::new();
    for licence in spdx::identifiers::LICENSES {
        let text = spdx::license_id(licence.name).expect("is listed").text();
        let own = Licence::read(licence.name);
        let found = rights(text).stated();
        let is_freer = policy.judge(&found).decision < policy.judge(&own).decision;
        // These hold another licence's words for a part of the work.
        let has_part = [
            "Community-Spec-1.0",
            "GCR-docs",
            "Sendmail",
            "Sendmail-8.23",
        ]
        .contains(&licence.name);
        if found != own && found != Licence::Missing && is_freer && !has_part {
            wrong.push(format!("{} is taken for {found}", licence.name));
        }
    }
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn notices_of_licences_are_found() {
    let cases = [
        (
            "// SPDX-License-Identifier: MIT\nint x;",
            "MIT",
            Evidence::Identifier,
        ),
        (
            "/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */",
            "(GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause",
            Evidence::Identifier,
        ),
        (
            "<!-- SPDX-License-Identifier: Apache-2.0 -->",
            "Apache-2.0",
            Evidence::Identifier,
        ),
        (
            "# Licensed under the Apache License, Version 2.0 (the \"License\");\n# you may not use this file except in compliance with the License.",
            "Apache-2.0",
            Evidence::Notice,
        ),
        (
            "This program is free software: you can redistribute it and/or modify\n it under the terms of the GNU General Public License as published by\n the Free Software Foundation, either version 3 of the License, or\n (at your option) any later version.",
            "GPL-3.0-or-later",
            Evidence::Notice,
        ),
        (
            " * This program is free software; you can redistribute it and/or modify\n * it under the terms of version 2 of the GNU General Public License as\n * published by the Free Software Foundation.",
            "GPL-2.0-only",
            Evidence::Notice,
        ),
        (
            "This library is free software; you can redistribute it and/or modify it under the terms of the GNU Lesser General Public License as published by the Free Software Foundation; either version 2.1 of the License, or (at your option) any later version.",
            "LGPL-2.1-or-later",
            Evidence::Notice,
        ),
        (
            "This Source Code Form is subject to the terms of the Mozilla Public\nLicense, v. 2.0. If a copy of the MPL was not distributed with this\nfile, You can obtain one at https://mozilla.org/MPL/2.0/.",
            "MPL-2.0",
            Evidence::Notice,
        ),
        (
            "This program and the accompanying materials are made available under the terms of the Eclipse Public License v2.0 which is available at",
            "EPL-2.0",
            Evidence::Notice,
        ),
        (
            "This work is licensed under a Creative Commons Attribution-NonCommercial 4.0 International License.",
            "CC-BY-NC-4.0",
            Evidence::Notice,
        ),
        (
            "Text is available under the Creative Commons Attribution-ShareAlike License 4.0; additional terms may apply.",
            "CC-BY-SA-4.0",
            Evidence::Notice,
        ),
        (
            "Except where otherwise noted, content on this site is licensed under a <a href=\"https://creativecommons.org/licenses/by/4.0/\">Creative Commons Attribution License</a>.",
            "CC-BY-4.0",
            Evidence::Notice,
        ),
        (
            "## License\n\nFoo is licensed under the MIT license.",
            "MIT",
            Evidence::Notice,
        ),
        (
            "Use of this source code is governed by a BSD-style\nlicense that can be found in the LICENSE file.",
            "LicenseRef-BSD",
            Evidence::Notice,
        ),
        ("This code is released under MIT.", "MIT", Evidence::Notice),
        (
            "[package]\nname = \"foo\"\nlicense = \"MIT OR Apache-2.0\"\n",
            "MIT OR Apache-2.0",
            Evidence::Notice,
        ),
        (
            "---\nlicense: cc-by-sa-4.0\ntags:\n- a\n",
            "CC-BY-SA-4.0",
            Evidence::Notice,
        ),
        (
            "This file has been placed in the public domain.",
            "LicenseRef-public-domain",
            Evidence::Notice,
        ),
        (
            "To the extent possible under law, Ann Lee has waived all copyright and related or neighboring rights to this work.",
            "CC0-1.0",
            Evidence::Text,
        ),
        (
            "See <https://creativecommons.org/licenses/by-sa/3.0/>.",
            "CC-BY-SA-3.0",
            Evidence::Link,
        ),
        (
            "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files",
            "LicenseRef-MIT-style",
            Evidence::Text,
        ),
        (
            "Redistribution and use in source and binary forms, with or without modification, are permitted",
            "LicenseRef-BSD",
            Evidence::Text,
        ),
    ];
    for (text, id, evidence) in cases {
        let found = rights(text);
        assert_eq!(found.licence(), spdx(id), "{text}\n{:?}", found.licences);
        assert_eq!(found.licences[0].evidence, evidence, "{text}");
    }
}

#[test]
fn prose_about_licences_is_no_notice() {
    for text in [
        "Linux is released under the GNU General Public License version 2, which Stallman wrote.",
        "He was licensed under state law to practise medicine, and she had a driving license.",
        "The MIT License and the Apache License are popular. Many prefer the GNU General Public License.",
        "They published under the name of Bell; the book is subject to the usual criticism.",
        "You should have received a copy of the GNU General Public License along with this program.",
        "The school is covered by the MIT Press, and this book is distributed under MIT supervision by the Press.",
        "Use SPDX-License-Identifier lines in your files to say which license holds.",
        "The SPDX-License-Identifier: tag is followed by an expression.",
        "His songs fell into the public domain after 70 years.",
        "Redistribution of wealth and use of force are not permitted.",
        "Permission was granted to the company, free of charge, for a year.",
        "https://www.gnu.org/licenses/ and https://creativecommons.org/ are addresses.",
        "license: see below",
        "notcreativecommons.org/licenses/by/4.0/",
    ] {
        assert_eq!(rights(text).licences, [], "{text}");
    }
}

#[test]
fn an_unknown_identifier_stays_unknown() {
    let found = rights("// SPDX-License-Identifier: Acme-1.0\n");
    assert_eq!(found.licence(), Licence::Unknown("Acme-1.0".to_owned()));
}

#[test]
fn several_licences_hold_together() {
    let text = "# SPDX-License-Identifier: MIT OR ISC\n\nThis work is licensed under CC BY 4.0.\n";
    assert_eq!(rights(text).licence(), spdx("(MIT OR ISC) AND CC-BY-4.0"));
}

fn holders(text: &str) -> Vec<&str> {
    rights(text)
        .notices
        .iter()
        .filter(|notice| notice.kind == NoticeKind::Copyright)
        .map(|notice| notice.holder.clone().map_or("", |place| &text[place]))
        .collect()
}

#[test]
fn copyright_notices_name_their_holders() {
    let cases = [
        ("Copyright (c) 2019-2024 Ann Lee", "Ann Lee"),
        (
            "// Copyright 2020 The Foo Authors. All rights reserved.",
            "The Foo Authors",
        ),
        (
            "# Copyright (C) 2007, 2009 Free Software Foundation, Inc. <https://fsf.org/>",
            "Free Software Foundation, Inc.",
        ),
        ("© 2023 Acme Corp. All rights reserved.", "Acme Corp."),
        ("&copy; 2023 Acme", "Acme"),
        ("(c) 2001 by J. R. Smith", "J. R. Smith"),
        ("Copyright © Getty Images", "Getty Images"),
        (
            "Copyright (c) The Regents of the University of California.",
            "The Regents of the University of California.",
        ),
        ("COPYRIGHT 1998 ACME LTD", "ACME LTD"),
        ("Copyright by Springer-Verlag 1999", "Springer-Verlag 1999"),
        (
            "Copyright Facebook, Inc. and its affiliates.",
            "Facebook, Inc. and its affiliates.",
        ),
        ("Photo: © Reuters | Text: the paper", "Reuters"),
        ("/* Copyright 2024 Ann Lee */", "Ann Lee"),
        ("Copyright (c) 2024 李明", "李明"),
        ("Copyright 2024", ""),
        ("© 2024", ""),
        ("Copyright (c) 2010 [name of holder]", ""),
    ];
    for (text, holder) in cases {
        assert_eq!(holders(text), [holder], "{text}");
    }
}

#[test]
fn copyright_in_prose_is_no_notice() {
    for text in [
        "The law of copyright is old, and Copyright Law in Europe is older.",
        "Copyright Infringement and You",
        "The above copyright notice shall be included in all copies.",
        "Under the Copyright, Designs and Patents Act 1988 the author has rights.",
        "Copyright [yyyy] [name of copyright owner]",
        "(a) first, (b) second, (c) third",
        "(c) 2020 was the worst of these years.",
        "Type Alt+0169 for ©.",
        "The © symbol is a letter in a circle.",
        "copyright (c) holders may ask",
        "He wrote copyrighted texts, and copyrights were sold.",
        "f(c) = 2 * c",
    ] {
        assert_eq!(holders(text), [] as [&str; 0], "{text}");
    }
}

#[test]
fn each_kind_of_notice_is_found() {
    use NoticeKind::{
        Confidential, CrawlerShutOut, Dmca, NoTraining, RightsReserved, RobotsNoAi, TdmReservation,
    };
    let cases = [
        (RightsReserved, "Acme. @All Rights\n * Reserved@."),
        (RightsReserved, "@Tous droits réservés@"),
        (RightsReserved, "@Alle Rechte vorbehalten@."),
        (
            RobotsNoAi,
            "<meta name=\"robots\" content=\"index, @noai@\">",
        ),
        (RobotsNoAi, "<meta content='@noimageai@' name='robots'>"),
        (RobotsNoAi, "X-Robots-Tag: @noai@"),
        (TdmReservation, "@tdm-reservation: 1@"),
        (
            TdmReservation,
            "<meta name=\"@tdm-reservation\" content=\"1@\">",
        ),
        (TdmReservation, "{\"@tdm-reservation\": 1@}"),
        (
            CrawlerShutOut,
            "User-agent: *\nAllow: /\n\n@User-agent: GPTBot\nDisallow: /@\n",
        ),
        (
            CrawlerShutOut,
            "@user-agent: CCBot\nuser-agent: anthropic-ai # both\nDisallow: /@ # all\nAllow: /robots.txt",
        ),
        (
            NoTraining,
            "Hello. @You may not use this site's content to train AI models.@ Bye.",
        ),
        (
            NoTraining,
            "@No part of this book may be used or reproduced in any manner for the purpose of training artificial intelligence technologies or systems.@",
        ),
        (
            NoTraining,
            "@The publisher expressly reserves this work from the text and data mining exception.@",
        ),
        (
            NoTraining,
            "@Do not use my art for training\n generative AI.@",
        ),
        (Confidential, "@CONFIDENTIAL@\n\nThe plan is this."),
        (Confidential, "@Strictly confidential@"),
        (
            Confidential,
            "For the board. @Confidential and proprietary@ information of Acme.",
        ),
        (Confidential, "@Internal use only@"),
        (Confidential, "@For internal use only@\nRevenue was up."),
        (Confidential, "Draft [@Do not distribute@]"),
        (
            Confidential,
            "@This e-mail and any attachments are confidential@ and may be read by nobody else.",
        ),
        (Dmca, "Send a @DMCA takedown@ to this address."),
    ];
    for (kind, marked) in cases {
        let mut parts = marked.split('@');
        let before = parts.next().unwrap_or_default();
        let own = parts.next().unwrap_or_default();
        let text = marked.replace('@', "");
        let found: Vec<_> = rights(&text)
            .notices
            .into_iter()
            .filter(|notice| notice.kind == kind)
            .collect();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(
            found[0].place,
            before.len()..before.len() + own.len(),
            "{text}: {:?}",
            &text[found[0].place.clone()]
        );
        assert_eq!(
            kind.is_opt_out(),
            [RobotsNoAi, TdmReservation, CrawlerShutOut, NoTraining].contains(&kind)
        );
    }
}

#[test]
fn what_only_looks_like_a_notice_is_none() {
    for text in [
        "All rights not reserved to the states are kept. She reserved all rights to the story.",
        "The noai directive is discussed, and Genoain too.",
        "<meta name=\"robots\" content=\"noindex, nofollow\">",
        "<meta name=\"description\" content=\"noai\">",
        "tdm-reservation: 0",
        "The tdm-reservation header has a value of 1 or 0.",
        "User-agent: GPTBot\nDisallow: /private/\n",
        "User-agent: Googlebot\nDisallow: /\n",
        "User-agent: GPTBot\nAllow: /\n\nUser-agent: BadBot\nDisallow: /\n",
        "Request with User-Agent: GPTBot/1.0 was seen.\nDisallow: /",
        "We did not use the test data to train the language model.",
        "You may not train for a marathon on this track.",
        "The train may not stop at this station, says the AI.",
        "Your answers will be kept strictly confidential by the nurse.",
        "Do not distribute the weight evenly over both feet.",
        "L.A. Confidential is a film of 1997.",
        "The DMCA was enacted in 1998 by the Congress.",
        "The constant INTERNAL_USE_ONLY is read by the function that is meant for internal use only there.",
        "Her internal monologue is not for the use of others.",
    ] {
        let found: Vec<_> = rights(text)
            .notices
            .into_iter()
            .map(|notice| (notice.kind, text[notice.place].to_owned()))
            .collect();
        assert_eq!(found, [], "{text}");
    }
}

fn policy(intended: Use) -> Policy {
    Policy::from_toml(Policy::built_in(intended)).expect("is shipped")
}

#[test]
fn shipped_policies_place_every_kind() {
    for intended in [Use::Commercial, Use::Research] {
        let text = Policy::built_in(intended);
        assert_eq!(policy(intended).intended, intended);
        for category in Category::ALL {
            let entry = format!("\"{}\"", category.name());
            assert_eq!(text.matches(&entry).count(), 1, "{entry}");
        }
    }
}

#[test]
fn licences_are_judged_for_their_use() {
    use Decision::{Allowed, Denied, Review};
    let cases = [
        ("mit", Allowed, Allowed),
        ("cc0-1.0", Allowed, Allowed),
        ("cc-by-4.0", Allowed, Allowed),
        ("cc-by-sa-4.0", Review, Allowed),
        ("CC BY-SA", Review, Allowed),
        ("cc-by-nc-4.0", Denied, Allowed),
        ("cc-by-nc-nd-4.0", Denied, Review),
        ("cc-by-nc-sa-3.0-us", Denied, Allowed),
        ("gpl-3.0", Review, Allowed),
        ("agpl-3.0", Review, Allowed),
        ("lgpl-2.1", Review, Allowed),
        ("odbl", Review, Allowed),
        ("llama3.1", Review, Review),
        ("openrail", Review, Review),
        ("proprietary", Denied, Denied),
        ("research only", Denied, Allowed),
        ("other", Review, Review),
        ("", Review, Review),
        ("LicenseRef-own", Review, Review),
        // On SPDX's list, and not in the table of kinds.
        ("Aladdin", Review, Review),
        ("MIT OR CC-BY-NC-4.0", Allowed, Allowed),
        ("MIT AND CC-BY-NC-4.0", Denied, Allowed),
        ("(GPL-2.0-only OR MIT) AND CC-BY-4.0", Allowed, Allowed),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Review, Allowed),
        ("Apache-2.0 WITH LLVM-exception", Allowed, Allowed),
    ];
    for (said, commercial, research) in cases {
        let licence = Licence::read(said);
        for (intended, decision) in [(Use::Commercial, commercial), (Use::Research, research)] {
            let verdict = policy(intended).judge(&licence);
            assert_eq!(verdict.decision, decision, "{said}: {}", verdict.reason);
            assert!(!verdict.reason.is_empty());
        }
    }
}

#[test]
fn what_a_licence_asks_for_is_told() {
    use Obligation::{Attribution, NetworkSource, Notices, ShareAlike, Source, UseRestrictions};
    let cases: [(&str, &[Obligation]); 9] = [
        ("mit", &[Notices]),
        ("MIT-0", &[]),
        ("cc0", &[]),
        ("cc-by-4.0", &[Attribution]),
        ("cc-by-sa-4.0", &[Attribution, ShareAlike]),
        (
            "AGPL-3.0-only",
            &[Notices, ShareAlike, Source, NetworkSource],
        ),
        ("gemma", &[UseRestrictions]),
        ("GPL-3.0-only OR MIT", &[Notices]),
        ("MIT AND CC-BY-SA-4.0", &[Attribution, Notices, ShareAlike]),
    ];
    for (said, obligations) in cases {
        assert_eq!(
            policy(Use::Commercial)
                .judge(&Licence::read(said))
                .obligations,
            obligations,
            "{said}"
        );
    }
}

#[test]
fn an_identifier_counts_before_a_pattern_and_that_before_a_kind() {
    let policy = Policy::from_toml(
        "use = \"other\"\nallow = [\"copyleft\", \"CC-BY-NC-SA-4.0\", \"LGPL-2.1-only WITH GCC-exception-2.0\"]\nreview = [\"GPL-3*\"]\ndeny = [\"CC-*\", \"Apache 2.0\"]\nmissing = \"deny\"",
    )
    .expect("is a policy");
    let decision = |said: &str| policy.judge(&Licence::read(said)).decision;
    assert_eq!(decision("GPL-2.0-only"), Decision::Allowed);
    assert_eq!(decision("GPL-3.0-only"), Decision::Review);
    assert_eq!(decision("CC-BY-4.0"), Decision::Denied);
    assert_eq!(decision("CC-BY-NC-SA-4.0"), Decision::Allowed);
    assert_eq!(decision("Apache-2.0"), Decision::Denied);
    assert_eq!(
        decision("LGPL-2.1-only WITH GCC-exception-2.0"),
        Decision::Allowed
    );
    assert_eq!(decision("LGPL-2.1-only"), Decision::Review);
    assert_eq!(decision(""), Decision::Denied);
}

#[test]
fn a_policy_with_a_fault_says_which_and_what_is_allowed() {
    let cases = [
        (
            "use = \"profit\"",
            "field `use`: `profit` is no use that is known; allowed: `commercial`, `research`, `other`",
        ),
        (
            "use = \"other\"\nmissing = \"skip\"",
            "field `missing`: `skip` is nothing that can be done; allowed: `allow`, `review`, `deny`",
        ),
        (
            "use = \"other\"\nallow = [\"MIT\"]\ndeny = [\"mit\"]",
            "field `deny`: `mit` is in `allow` as well; allowed: each entry in one list",
        ),
        (
            "use = \"other\"\nallow = [\"copyleft\"]\nreview = [\"copyleft\"]",
            "field `review`: `copyleft` is in `allow` as well; allowed: each entry in one list",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(
            Policy::from_toml(text).expect_err(text).to_string(),
            message
        );
    }
    let begins = [
        (
            "use = \"other\"\ndeny = [\"XX-*\"]",
            "field `deny`: the pattern `XX-*` matches no identifier; allowed: the kinds `public-domain`, ",
        ),
        (
            "use = \"other\"\ndeny = [\"MIT OR ISC\"]",
            "field `deny`: `MIT OR ISC` is an expression of several licences",
        ),
        (
            "use = \"other\"\nallowed = []",
            "field `allowed`: unknown field `allowed`, expected one of `use`, `allow`, `review`, `deny`, `missing` (line 2)",
        ),
        ("use = \"other\"\nallow = \"MIT\"", "field `allow`: "),
        ("allow = []", "field `"),
        ("use = ", "field `use`: "),
    ];
    for (text, begin) in begins {
        let message = Policy::from_toml(text).expect_err(text).to_string();
        assert!(message.starts_with(begin), "{message}");
    }
}

#[test]
fn fields_of_origin_are_known_by_their_names() {
    let cases = [
        ("license", Some(Origin::Licence)),
        ("LICENCE", Some(Origin::Licence)),
        ("max_stars_repo_licenses", Some(Origin::Licence)),
        ("metadata.license", Some(Origin::Licence)),
        ("source", Some(Origin::Source)),
        ("source-url", Some(Origin::Url)),
        ("URL", Some(Origin::Url)),
        ("Created At", Some(Origin::Date)),
        ("author", Some(Origin::Author)),
        ("text", None),
        ("", None),
        ("daté", None),
    ];
    for (field, origin) in cases {
        assert_eq!(Origin::of(field), origin, "{field}");
    }
    for origin in Origin::ALL {
        for field in origin.fields() {
            assert_eq!(Origin::of(field), Some(origin), "{field}");
        }
    }
    assert!(is_missing("N/A") && is_missing(" ") && !is_missing("unknown") && !is_missing("0"));
}

/// Parts of expressions, and what breaks them.
fn parts() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "MIT",
        "GPL-2.0-or-later",
        "cc-by-4.0",
        "AND",
        "OR",
        "WITH",
        "Classpath-exception-2.0",
        "(",
        ")",
        "+",
        "/",
        ",",
        "LicenseRef-a",
        "or later",
        "é",
        "x",
        "https://opensource.org/licenses/MIT",
        "©",
        "Copyright",
        "2024",
        "Licensed under the ",
        "version 2 of the GNU General Public License",
        "\n# ",
        "user-agent: GPTBot\n",
        "disallow: /\n",
        "CONFIDENTIAL",
        "how to apply these terms to your",
        "SPDX-License-Identifier:",
        "<",
        "&copy;",
        "train ai may not this",
        "tdm-reservation=1",
        "license: ",
    ]);
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_read_and_judged(text in prop_oneof!["\\PC{0,200}", parts()]) {
        let found = rights(&text);
        for one in &found.licences {
            prop_assert!(!text[one.place.clone()].is_empty());
        }
        for notice in &found.notices {
            prop_assert!(!text[notice.place.clone()].is_empty());
            if let Some(holder) = &notice.holder {
                prop_assert!(!text[holder.clone()].is_empty() && holder.start >= notice.place.start && holder.end <= notice.place.end);
            }
        }
        let licence = Licence::read(&text);
        let verdict = policy(Use::Commercial).judge(&licence);
        prop_assert!(!verdict.reason.is_empty());
        // What was read is read as the same again.
        if let Some(expression) = licence.expression() {
            prop_assert_eq!(Licence::read(expression), licence.clone());
        }
    }

    #[test]
    fn words_count_and_not_how_they_are_set(
        at in 0_usize..6,
        gaps in prop::collection::vec(prop::sample::select(vec![" ", "  ", "\n", "\n# ", "\r\n// ", "\n * ", "\t", "\n;; ", "\nrem "]), 60),
        is_upper in any::<bool>(),
    ) {
        let text = [
            "This program is free software; you can redistribute it and/or modify it under the terms of the GNU General Public License as published by the Free Software Foundation; either version 2 of the License, or (at your option) any later version.",
            "This work is licensed under a Creative Commons Attribution-ShareAlike 4.0 International License.",
            "This is free and unencumbered software released into the public domain.",
            "This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.",
            "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies.",
            "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not use this file except in compliance with the License.",
        ][at];
        let plain = rights(text).licence();
        prop_assert!(plain.expression().is_some());
        let mut set = String::from("# ");
        for (word, gap) in text.split(' ').zip(gaps.iter().cycle()) {
            set.push_str(word);
            set.push_str(gap);
        }
        if is_upper {
            set = set.to_uppercase();
        }
        prop_assert_eq!(rights(&set).licence(), plain, "{}", set);
    }

    #[test]
    fn names_count_whatever_their_case_and_signs(at in 0_usize..5, is_upper in any::<bool>(), sign in prop::sample::select(vec!["-", " ", "_", ", ", "  "])) {
        let name = ["apache-2.0", "cc-by-nc-sa-4.0", "gpl-3.0-or-later", "bsd-3-clause", "llama-3.1"][at];
        let said = name.replace('-', sign);
        let said = if is_upper { said.to_uppercase() } else { said };
        prop_assert_eq!(Licence::read(&said), Licence::read(name));
    }

    #[test]
    fn or_is_no_worse_and_and_no_better_than_each(
        one in prop::sample::select(vec!["MIT", "CC-BY-NC-4.0", "GPL-3.0-only", "CC-BY-4.0", "LicenseRef-x"]),
        other in prop::sample::select(vec!["ISC", "CC-BY-SA-4.0", "LicenseRef-proprietary", "Apache-2.0"]),
    ) {
        let policy = policy(Use::Commercial);
        let decision = |expression: String| policy.judge(&Licence::Spdx(expression)).decision;
        let (left, right) = (decision(one.to_owned()), decision(other.to_owned()));
        prop_assert_eq!(decision(format!("{one} OR {other}")), left.min(right));
        prop_assert_eq!(decision(format!("{one} AND {other}")), left.max(right));
    }
}
